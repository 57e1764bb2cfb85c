"""The audit trail over the store: sealed, told, exported. What it is made of is `gateway.audit`."""
