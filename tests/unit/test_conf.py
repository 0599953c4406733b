"""The table of confs: what values they take, and that somebody reads each of them, through the table."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from riacho import conf
from riacho.conf import CONFS, Conf
from riacho.errors import IllegalArgumentError

SOURCES = sorted(
    path for path in Path(conf.__file__).parent.rglob("*.py") if path.name != "conf.py" and "testing" not in path.parts
)
NAMES = {name: value for name, value in vars(conf).items() if isinstance(value, Conf)}


def test_each_conf_is_read_by_somebody() -> None:
    imported = {
        alias.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "riacho.conf"
        for alias in node.names
    }
    assert {name for name, value in NAMES.items() if value.read_by is None} - imported == set()


def test_no_key_is_written_down_elsewhere() -> None:
    """But in `riacho.pipelines`, which imports PySpark only: a definition file runs where nothing else of riacho is."""
    keys = {value.key for value in CONFS}
    found = {
        (path.name, node.value)
        for path in SOURCES
        if path.parent.name != "pipelines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in keys
    }
    assert found == set()


def test_defaults_are_values() -> None:
    for each in CONFS:
        if each.default is not None:
            each.parse(each.default)
    assert len({each.key for each in CONFS}) == len(CONFS)


@pytest.mark.parametrize(
    ("which", "text", "value"),
    [
        (conf.POLLING_DELAY, "25", 25),
        (conf.POLLING_DELAY, " 5S ", 5_000),
        (conf.POLLING_DELAY, "-5", -5),
        (conf.SHORTEST_RETRY_WAIT, "2500ms", 2_000),
        (conf.SHORTEST_RETRY_WAIT, "3", 3_000),
        (conf.RECENT_PROGRESS, " -7 ", -7),
        (conf.ANSI, " FALSE ", False),
        (conf.WATERMARK_POLICY, "MAX", "max"),
        (conf.STORE_ASSIGNMENT, "legacy", "LEGACY"),
    ],
)
def test_values(which: Conf[object], text: str, value: object) -> None:
    assert which.of({which.key: text}) == which.read({which.key: text}.get) == value


@pytest.mark.parametrize(
    ("which", "text", "kind"),
    [
        (conf.POLLING_DELAY, "5 s", "TYPE_MISMATCH"),
        (conf.POLLING_DELAY, "1.5s", "TYPE_MISMATCH"),
        (conf.RECENT_PROGRESS, "2147483648", "TYPE_MISMATCH"),
        (conf.RECENT_PROGRESS, "١", "TYPE_MISMATCH"),
        (conf.ANSI, "yes", "TYPE_MISMATCH"),
        (conf.STORE_ASSIGNMENT, "lenient", "OUT_OF_RANGE_OF_OPTIONS"),
        (conf.WATERMARK_POLICY, "median", "REQUIREMENT"),
        (conf.SHORTEST_RETRY_WAIT, "999ms", "REQUIREMENT"),
        (conf.SHUFFLE_PARTITIONS, "0", "REQUIREMENT"),
    ],
)
def test_what_is_no_value_is_refused(which: Conf[object], text: str, kind: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        conf.check(which.key, text)
    assert caught.value.condition == f"INVALID_CONF_VALUE.{kind}"


def test_what_is_unset_has_its_default() -> None:
    assert conf.POLLING_DELAY.of({}) == 10
    assert conf.POLLING_DELAY.of({conf.POLLING_DELAY.key: ""}) == 10
    conf.check("not.one.of.them", "whatever")
    with pytest.raises(ValueError, match="lateRows is not set"):
        conf.LATE_ROWS.of({})
