from __future__ import annotations

import logging

import pytest

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.options import Option, Options
from riacho.server.delta.options import DeltaOptions
from riacho.server.formats.options import JSON, READERS

TABLE = (
    Option("count", "7", "how many"),
    Option("size", None, "how large"),
    Option("age", None, "how old"),
    Option("share", "0.5", "how much of it"),
    Option("on", "false", "whether"),
    Option("own.*", None, "a family"),
)


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
        Options.check("json", JSON, {"colour": "red", "__folder": "/x"})
    assert "colour" in caplog.text
    assert "__folder" not in caplog.text  # riacho's server adds such names


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


def given(**options: str) -> Options:
    return Options.check("test source", TABLE, options)


def test_values_have_the_type_that_is_asked_for() -> None:
    options = given(COUNT="3", size="2 GiB", age="2 h", share="0.25", on="TRUE")
    assert (options.number("count"), options.positive("count")) == (3, 3)
    assert (options.size_bytes("size"), options.duration_ms("age")) == (2 << 30, 7_200_000)
    assert (options.ratio("share"), options.flag("on")) == (0.25, True)


def test_what_is_not_given_has_its_default() -> None:
    options = given()
    assert (options.number("count"), options.ratio("share"), options.flag("on")) == (7, 0.5, False)
    assert (options.size_bytes("size"), options.duration_ms("age"), options.positive("size")) == (None, None, None)
    assert options.flag("on", default=True)
    assert not given(on="false").flag("on", default=True)


@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        ("number", "count", "many"),
        ("positive", "count", "0"),
        ("positive", "count", "-1"),
        ("size_bytes", "size", "large"),
        ("duration_ms", "age", "soon"),
        ("ratio", "share", "2"),
        ("ratio", "share", "half"),
        ("flag", "on", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_option(read: str, name: str, value: str) -> None:
    with pytest.raises(IllegalArgumentError, match=name) as caught:
        getattr(given(**{name: value}), read)(name)
    assert value in str(caught.value)


def test_a_family_of_names_is_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Options.check("test source", TABLE, {"OWN.colour": "red"})
    assert not caplog.text


def test_delta_has_an_error_of_its_own() -> None:
    options = DeltaOptions.check("Delta sink", TABLE, {"count": "0", "on": "perhaps"})
    with pytest.raises(IllegalArgumentError) as number:
        options.positive("count")
    with pytest.raises(IllegalArgumentError) as flag:
        options.flag("on")
    assert number.value.condition == flag.value.condition == "DELTA_ILLEGAL_OPTION"
