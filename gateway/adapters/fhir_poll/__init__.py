"""EHRs' FHIR servers that are polled: what has changed there is kept as if the EHR had sent it."""
