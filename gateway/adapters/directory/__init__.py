"""A feed that comes as files in a directory."""
