"""HL7 v2: reading, mapping, acknowledging, writing. Bytes in, values out; nothing here waits or remembers a patient."""
