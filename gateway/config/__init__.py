"""What `gateway.yaml` says, as frozen models; `gateway.settings` reads it."""
