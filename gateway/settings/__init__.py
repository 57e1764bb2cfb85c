"""Reads `gateway.yaml` into `gateway.config.model.Config`, once, and tells every mistake in it at once."""

from gateway.settings.load import ConfigErrors, load

__all__ = ["ConfigErrors", "load"]
