"""How adapters and services are put together: at the start, and when the settings change."""
