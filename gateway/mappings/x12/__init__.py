"""X12 5010: reading and writing of interchanges, pure. There is no escape in X12: a value that cannot stand is held."""
