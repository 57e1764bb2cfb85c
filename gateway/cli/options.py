"""Options that several commands share, and how a command ends when it can't do what was asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.config.model import Config
from gateway.settings import load
from gateway.yamlfile import Mistakes

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="GATEWAY_CONFIG", help="The configuration file.", dir_okay=False)
]
DEFAULT_CONFIG = Path("gateway.yaml")

Url = Annotated[str, typer.Option(envvar="GATEWAY_URL", help="Where the gateway's HTTP interface is.")]
DEFAULT_URL = "http://127.0.0.1:8080"


def fail(text: str, code: int = 1) -> NoReturn:
    """End the command: `text` on standard error, exit status `code`."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


Reader = Callable[[Path, Mapping[str, str]], Config]


def read_config(path: Path, read: Reader = load) -> Config:
    """The configuration, or every mistake that `read` finds and exit status 2."""
    if not path.is_file():
        fail(f"{path}: there is no such file; name one with --config, or start from examples/gateway.yaml", 2)
    try:
        return read(path, os.environ)
    except Mistakes as mistakes:
        fail(str(mistakes), 2)
