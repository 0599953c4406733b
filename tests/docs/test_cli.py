"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

from scripts import cli_docs


def test_the_page_is_up_to_date() -> None:
    assert cli_docs.PAGE.read_text(encoding="utf-8") == cli_docs.render(), "run `python scripts/cli_docs.py`"
