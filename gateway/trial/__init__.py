"""What would happen to a message: the whole way through a gateway of its own, in memory, without a trace."""
