from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import IllegalArgumentError
from riacho.options import Options
from riacho.server.formats.options import STREAM
from riacho.server.streaming.sources.file_choice import choose, count_within, in_order
from riacho.server.streaming.sources.file_options import StreamOptions
from riacho.server.streaming.sources.listing import FileStatus

FILES = [FileStatus(i, f"/{i}", 10) for i in range(10)]


def options(**given: str) -> StreamOptions:
    return StreamOptions.of(Options.check("json", STREAM, given))


def chosen(everything: bool = False, may_keep: bool = True, **given: str) -> tuple[int, int]:
    """(files taken, files kept for later) out of ten of ten bytes."""
    choice = choose(FILES, options(**given), everything=everything, may_keep=may_keep)
    return len(choice.taken), len(choice.kept)


def test_without_limits_all_files_are_taken() -> None:
    assert chosen() == (10, 0)


def test_a_limit_leaves_files_for_later() -> None:
    assert chosen(maxFilesPerTrigger="3") == (3, 7)
    assert chosen(maxBytesPerTrigger="35") == (3, 7)
    assert chosen(maxFilesPerTrigger="3", may_keep=False) == (3, 0)


def test_a_small_rest_is_listed_again_so_that_newer_files_join_it() -> None:
    assert chosen(maxFilesPerTrigger="9") == (9, 0)
    assert chosen(maxBytesPerTrigger="95") == (9, 0)
    assert chosen(maxFilesPerTrigger="9", discardCachedInputRatio="0.1") == (9, 1)


def test_few_files_wait_if_few_may() -> None:
    assert chosen(maxFilesPerTrigger="2", maxCachedFiles="5") == (2, 5)
    assert chosen(maxFilesPerTrigger="2", maxCachedFiles="0") == (2, 0)


def test_trigger_once_knows_no_limits() -> None:
    assert chosen(everything=True, maxFilesPerTrigger="3") == (10, 0)


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 200))
def test_bytes_are_a_soft_limit(sizes: list[int], limit: int) -> None:
    files = [FileStatus(0, "", size) for size in sizes]
    count = count_within(files, limit)
    assert count >= 1
    assert count == 1 or sum(sizes[:count]) <= limit
    assert count == len(sizes) or sum(sizes[: count + 1]) > limit


@given(st.lists(st.builds(FileStatus, st.integers(0, 5), st.text(), st.just(1))))
def test_files_come_by_their_time(files: list[FileStatus]) -> None:
    oldest, newest = (in_order(files, latest_first=latest) for latest in (False, True))
    assert [file.modified_ms for file in oldest] == sorted(file.modified_ms for file in files)
    assert [file.modified_ms for file in newest] == [file.modified_ms for file in reversed(oldest)]


@pytest.mark.parametrize(
    "given",
    [
        {"maxFilesPerTrigger": "0"},
        {"maxFilesPerTrigger": "x"},
        {"maxBytesPerTrigger": "10m"},
        {"maxFilesPerTrigger": "1", "maxBytesPerTrigger": "1"},
        {"maxFileAge": "soon"},
        {"discardCachedInputRatio": "2"},
        {"maxCachedFiles": "-1"},
        {"latestFirst": "maybe"},
    ],
)
def test_senseless_options_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(IllegalArgumentError):
        options(**given)


@pytest.mark.parametrize(
    ("text", "ms"), [("7d", 604_800_000), ("50s", 50_000), ("100ms", 100), ("2 h", 7_200_000), ("5", 5)]
)
def test_durations(text: str, ms: int) -> None:
    assert options(maxFileAge=text).max_age_ms == ms
