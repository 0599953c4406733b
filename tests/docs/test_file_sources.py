"""The option tables of `docs/file-sources.md` are those that the readers check options against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from riacho.options import Option
from riacho.server.formats import options
from riacho.server.streaming.sources.cloud_options import CLOUD

PAGE = Path(__file__).parent.parent.parent / "docs" / "file-sources.md"
TABLES = {
    "LISTING": options.LISTING,
    "STREAM": options.STREAM,
    "JSON": options.JSON,
    "CSV": options.CSV,
    "PARQUET": options.PARQUET,
    "TEXT": options.TEXT,
    "CLOUD": CLOUD,
}


def rendered(table: Sequence[Option]) -> str:
    """A table of options as the page shows it."""
    lines = ["| option | default | what it does |", "|---|---|---|"]
    for option in table:
        names = " ".join(f"`{name}`" for name in (option.name, *option.aliases))
        default = "" if option.default is None else f"`{_shown(option.default)}`"
        help_text = option.help.replace("|", "\\|")
        lines.append(f"| {names} | {default} | {help_text if option.supported else f'*refused*: {help_text}'} |")
    return "\n".join(lines)


def _shown(default: str) -> str:
    return default.replace("|", "\\|") or " "


@pytest.mark.parametrize("name", TABLES)
def test_the_page_shows_the_table(name: str) -> None:
    assert f"<!-- options: {name} -->\n\n{rendered(TABLES[name])}\n" in PAGE.read_text(), (
        f"the table {name} should be:\n\n{rendered(TABLES[name])}"
    )


def test_the_page_has_no_other_tables() -> None:
    assert re.findall(r"<!-- options: (\w+) -->", PAGE.read_text()) == list(TABLES)
