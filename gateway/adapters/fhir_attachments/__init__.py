"""Documents' contents that come as an address only: fetched from where they may be, and kept as a Binary."""
