"""The log of a command that works in this process: faults only, on standard error, so that its output is its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from gateway import logs


@contextmanager
def faults_only() -> Iterator[None]:
    """While the command works; then as it was."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(sys.stderr, logging.ERROR)
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
