"""What clients write: taken in, alone or in Bundles, kept as it came, read back and searched."""
