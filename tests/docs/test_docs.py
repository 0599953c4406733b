"""What the documentation names is there, and what is there is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from riacho.cli.app import app
from riacho.conf import CONFS
from tests.spec.test_differences import DIFFERENCES

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("systems/*/*.md")])


def test_every_conf_has_its_row() -> None:
    table = ["| conf | type | default | what it does |", "|---|---|---|---|"]
    for conf in CONFS:
        default = "–" if conf.default is None else f"`{conf.default}`"
        table.append(f"| `{conf.key}` | {conf.type.name} | {default} | {conf.help} |")
    assert "\n".join(table) in (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "README.pt-BR.md"])
def test_every_command_has_its_row(page: str) -> None:
    told = re.findall(r"^\| `riacho ([\w-]+)", (ROOT / page).read_text(), re.MULTILINE)
    assert sorted(told) == sorted(typer.main.get_group(app).commands)


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_known_difference_is_explained() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    assert [name for name, _, _ in DIFFERENCES if name not in page] == []
