from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.server.streaming.sources.seen_files import SeenFiles


def test_a_taken_file_is_not_new() -> None:
    seen = SeenFiles(max_age_ms=100, exact=True)
    seen.add("/a", 1000)
    assert "/a" in seen
    assert "/b" not in seen
    assert seen.modified_ms("/a") == 1000


def test_nothing_is_too_old_before_the_first_purge() -> None:
    seen = SeenFiles(max_age_ms=100)
    seen.add("/a", 1000)
    assert seen.is_recent(1)
    seen.purge()
    assert not seen.is_recent(899)
    assert seen.is_recent(900)


def test_identity_may_be_the_name_alone() -> None:
    seen = SeenFiles(100, name_only=True)
    seen.add("/a/f", 1)
    assert "/b/f" in seen


@given(st.lists(st.tuples(st.text(), st.integers(0, 1000)), min_size=1), st.integers(0, 1000))
def test_what_is_forgotten_is_too_old_to_come_back(files: list[tuple[str, int]], age: int) -> None:
    """Else a file would be read twice."""
    seen = SeenFiles(age)
    for path, modified_ms in files:
        seen.add(path, modified_ms)
    seen.purge()
    for path, modified_ms in dict(files).items():
        assert path in seen or not seen.is_recent(modified_ms)


def test_names_of_a_folder_are_told_apart() -> None:
    seen = SeenFiles(100)
    seen.add_all(["/a/1", "/a/2", "/b/1"], [5, 5, 5])
    assert seen.unknown("/a", ["1", "2", "3"]) == ["3"]
    assert seen.unknown("/b", ["1", "2"]) == ["2"]
    assert seen.unknown("/c", ["1"]) == ["1"]
    by_name = SeenFiles(100, name_only=True)
    by_name.add_all(["/a/1"], [5])
    assert by_name.unknown("/b", ["1", "2"]) == ["2"]


def test_old_files_are_forgotten_once_they_have_gone_and_are_many() -> None:
    hour = 3_600_000
    seen = SeenFiles(hour)
    seen.add_all([f"/a/{i}" for i in range(2000)], [1000] * 2000)
    seen.purge()
    assert seen.forgettable() == [], "nothing is too old"
    seen.add_all([f"/b/{i}" for i in range(2000)], [4 * hour] * 2000)
    seen.purge()
    for folder in seen.forgettable():
        seen.forget(folder, ["7", "8"])
    assert len(seen) == 2002
    assert "/a/7" in seen
    assert seen.forgettable() == []
    assert not seen.is_recent(1000)
