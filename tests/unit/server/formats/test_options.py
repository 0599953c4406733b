from __future__ import annotations

import logging

import pytest

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.options import Options
from riacho.server.formats.options import JSON, READERS


def test_names_are_matched_in_any_case() -> None:
    assert Options.check("json", JSON, {"MULTILINE": "true"}).flag("multiLine")


def test_an_alias_gives_way_to_the_name() -> None:
    options = Options.check("json", JSON, {"encoding": "UTF-8", "charset": "latin-1"})
    assert options.text("encoding") == "UTF-8"
    assert Options.check("json", JSON, {"charset": "latin-1"}).text("encoding") == "latin-1"


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="singleVariantColumn = 'v'"):
        Options.check("json", JSON, {"singleVariantColumn": "v"})


def test_asking_for_what_happens_anyway_is_fine() -> None:
    assert Options.check("json", JSON, {"locale": "en-us"}).text("locale")


def test_an_unknown_name_is_ignored_aloud(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Options.check("json", JSON, {"colour": "red"})
    assert "colour" in caplog.text


def test_values_are_checked() -> None:
    options = Options.check("json", JSON, {"multiLine": "perhaps", "lineSep": "ab"})
    with pytest.raises(IllegalArgumentError, match="perhaps"):
        options.flag("multiLine")
    with pytest.raises(IllegalArgumentError, match="lineSep"):
        options.char("lineSep")


@pytest.mark.parametrize("reader", READERS)
def test_names_are_unique(reader: str) -> None:
    names = [name.lower() for option in READERS[reader] for name in {option.name, *option.aliases}]
    assert len(names) == len({*names})
