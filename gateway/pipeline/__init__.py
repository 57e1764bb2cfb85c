"""From a kept message to a decided case: read, resolved, applied or built again, advanced."""
