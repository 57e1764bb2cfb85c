"""Who may come in: senders by their certificates, clients by signed assertions and tokens for them."""
