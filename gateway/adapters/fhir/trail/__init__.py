"""The audit trail as AuditEvents and Provenances, and its export."""
