"""The way in, whatever the transport: recognised, kept, acknowledged. And kept messages taken again."""
