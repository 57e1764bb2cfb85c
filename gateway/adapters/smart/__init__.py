"""SMART Backend Services as a server: discovery, tokens, clients' keys, and the scopes at every door."""
