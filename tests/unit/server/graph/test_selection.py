from __future__ import annotations

import pytest

from riacho.errors import IllegalArgumentError
from riacho.protos import pb
from riacho.server.graph.selection import TableSelection
from tests.unit.server.graph.support import SCOPE, full


def selection(**command: object) -> TableSelection:
    return TableSelection.of(pb.PipelineCommand.StartRun(**command), SCOPE)  # type: ignore[arg-type]


def states(chosen: TableSelection) -> dict[str, tuple[bool, bool]]:
    return {name: (chosen.is_selected(full(name)), chosen.is_full(full(name))) for name in ("a", "b", "c")}


def test_nothing_said_refreshes_all() -> None:
    assert states(selection()) == {"a": (True, False), "b": (True, False), "c": (True, False)}


def test_lists_select_what_they_name_however_they_spell_it() -> None:
    chosen = selection(refresh_selection=["a"], full_refresh_selection=["default.`b`", "nope"])
    assert states(chosen) == {"a": (True, False), "b": (True, True), "c": (False, False)}
    assert chosen.names_full(full("b"))


def test_full_refresh_of_all() -> None:
    chosen = selection(full_refresh_all=True)
    assert states(chosen) == {"a": (True, True), "b": (True, True), "c": (True, True)}
    assert not chosen.names_full(full("b"))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"full_refresh_all": True, "refresh_selection": ["a"]}, "Cannot specify a subset to refresh when full"),
        ({"full_refresh_all": True, "full_refresh_selection": ["a"]}, "Cannot specify a subset to full refresh when"),
        (
            {"refresh_selection": ["a"], "full_refresh_selection": ["default.a"]},
            "cannot overlap: `spark_catalog`.`default`.`a`",
        ),
    ],
)
def test_contradictions(command: dict[str, object], text: str) -> None:
    with pytest.raises(IllegalArgumentError, match=text):
        selection(**command)
