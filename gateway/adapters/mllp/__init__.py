"""MLLP: HL7 v2 over TCP (HL7 Minimal Lower Layer Protocol, release 1)."""
