"""A case that Spark has answered is not asked again, unless riacho answers otherwise or it is asked otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential import recorded
from tests.differential.cases import Case
from tests.differential.recorded import Recorded
from tests.record import versions

CASE = Case("a.distinct()", "append", [[[(0, "a", 1)]]])
OTHER = Case("a.distinct()", "append", [[[(0, "a", 2)]]])
ANSWER = {"batches": [{"rows": [[1.0, "a"]]}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    first = Recorded(tmp_path / "answers.txt", writing=True, how="one way")
    assert not first.agrees(CASE, ANSWER)
    first.note(CASE, ANSWER)
    first.write()
    return tmp_path / "answers.txt"


def test_an_answer_is_known_again(path: Path) -> None:
    known = Recorded(path, how="one way")
    assert known.agrees(CASE, ANSWER)
    assert known.agrees(CASE, {"batches": [{"rows": [[1, "a"]]}]}), "numbers are equal"


def test_another_case_another_answer_and_another_way_to_ask_are_asked(path: Path) -> None:
    known = Recorded(path, how="one way")
    assert not known.agrees(OTHER, ANSWER)
    assert not known.agrees(CASE, {"batches": [{"rows": [[2, "a"]]}]})
    assert not Recorded(path, how="another way").agrees(CASE, ANSWER)


def test_the_way_to_ask_depends_on_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    now = recorded.asked()
    monkeypatch.setattr(versions, "spark", lambda: "99.0")
    assert recorded.asked() != now


def test_only_a_recording_writes_and_keeps_what_was_drawn(path: Path) -> None:
    before = path.read_text()
    reading = Recorded(path, how="one way")
    reading.note(OTHER, ANSWER)
    reading.write()
    assert path.read_text() == before

    writing = Recorded(path, writing=True, how="one way")
    writing.note(OTHER, ANSWER)
    writing.write()
    assert Recorded(path, how="one way").agrees(OTHER, ANSWER)
    assert not Recorded(path, how="one way").agrees(CASE, ANSWER), "this run did not draw it"
