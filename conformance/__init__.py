"""Executable conformance: suites that stores, destinations and feeds must pass, and the world around a gateway."""
