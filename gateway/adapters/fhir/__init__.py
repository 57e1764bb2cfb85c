"""The FHIR R4 facade: resources in, provider queries out as Tasks, OperationOutcome on every error."""
