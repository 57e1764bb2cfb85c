"""A coding-review gateway between the systems that document and code care and those that bill for it."""

__version__ = "0.1.0"
