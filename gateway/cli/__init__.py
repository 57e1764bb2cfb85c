"""The commands, a few lines each."""

from __future__ import annotations

from gateway.cli.commands import app


def main() -> None:
    """The `gateway` script."""
    app(prog_name="gateway")


if __name__ == "__main__":
    main()
