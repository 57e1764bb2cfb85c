"""What analysts ask of a gateway that runs: where a value comes from, what a mapping would change, codes to map."""
