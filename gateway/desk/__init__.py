"""What people do: read, approve, return, resolve, ask, answer, settle. Each is one read, one decision, one commit."""
