"""Reads `gateway.yaml` into `gateway.config.Config`, once, and tells every mistake in it at once."""

from gateway.settings.load import load
from gateway.settings.mistakes import ConfigErrors, Mistake

__all__ = ["ConfigErrors", "Mistake", "load"]
