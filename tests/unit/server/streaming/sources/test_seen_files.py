from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.server.streaming.sources.seen_files import SeenFiles


def test_a_taken_file_is_not_new() -> None:
    seen = SeenFiles(max_age_ms=100)
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
    seen = SeenFiles(100, identity=lambda path: path.rsplit("/", 1)[1])
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
