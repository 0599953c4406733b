"""The command line. One file per command; `main` is the entry point."""

from __future__ import annotations


def main() -> None:
    """Run `riacho`. Exits with 0, 1 (it failed, one line says why) or 2 (the words were wrong)."""
    from riacho.cli.app import app

    app()
