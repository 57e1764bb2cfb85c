"""What a gateway does by itself as time goes by: due work, versions, pruning, counts, alerts."""
