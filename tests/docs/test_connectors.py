"""The overview of the connectors, and that every option table of the catalogue is on a page."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from riacho.connectors.catalogue import CATALOGUE, EXTRAS, Entry, entry
from riacho.connectors.names import CLASSES, ON_ANY_SPARK
from tests.docs.test_option_tables import TABLES

DOCS = Path(__file__).parent.parent.parent / "docs"


def rendered() -> str:
    lines = ["| connector | what | batch | stream | guarantee | extra | any Spark |", "|---|---|---|---|---|---|---|"]
    for each in CATALOGUE:
        names = " ".join(f"`{name}`" for name in (each.name, *each.aliases))
        extra = f"`{each.extra}`" if each.extra else ""
        ways = [", ".join(way) or "–" for way in (each.batch, each.stream)]
        yes = "yes" if each.any_spark else ""
        lines.append(
            f"| {names} | [{each.summary}]({each.page}) | {' | '.join(ways)} | {each.guarantee} | {extra} | {yes} |"
        )
    return "\n".join(lines)


def test_the_overview_is_the_catalogue() -> None:
    text = (DOCS / "connectors.md").read_text()
    assert f"<!-- connectors -->\n\n{rendered()}\n\n<!-- /connectors -->" in text, f"it should be:\n\n{rendered()}"


def test_every_connector_is_in_the_catalogue() -> None:
    listed = {name.lower() for each in CATALOGUE for name in (each.name, *each.aliases)}
    assert set(CLASSES) <= listed
    assert {each.name for each in CATALOGUE if each.any_spark} == set(ON_ANY_SPARK)
    assert all(each.extra in (None, *EXTRAS) for each in CATALOGUE)


@pytest.mark.parametrize("page", ["README.md", "README.pt-BR.md"])
def test_the_readme_has_every_connector_and_every_extra(page: str) -> None:
    text = (DOCS.parent / page).read_text()
    formats = text[text.index("| format") if page == "README.md" else text.index("| formato") :]
    assert [each.name for each in CATALOGUE if each.name != "delta" and f"`{each.name}`" not in formats] == []
    pages = {each.page.partition("#")[0] for each in CATALOGUE}
    assert [each for each in sorted(pages) if f"(docs/{each}" not in formats] == []
    extras = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [each for each in extras if each != "dev" and f"| `riacho[{each}]` |" not in formats] == []


@pytest.mark.parametrize("each", CATALOGUE, ids=lambda each: each.name)
def test_its_page_and_its_tables_are_there(each: Entry) -> None:
    assert (DOCS / each.page.partition("#")[0]).exists()
    assert entry(each.name.upper()) is each
    shown = [tuple(table) for _, _, table in TABLES]
    for title, table in each.tables():
        assert table in shown, f"{each.name}: the table {title!r} is on no page"
