"""A query that dies while it writes its state goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.differential.cases import Case
from tests.differential.riacho_side import RiachoSide

HISTORY: Any = [
    [(2, "a", 1), (4, "b", 2), (6, "a", 3)],
    [(24, "a", 4), (4, "a", 5), (None, "a", 9)],
    [(60, "c", 1), (22, "b", None)],
    [(120, "a", 1), (62, "c", 2)],
    [(124, "a", 7), (118, "b", 1)],
]
QUERIES = [
    "a.withWatermark('ts','5 minutes').groupBy(F.window('ts','10 minutes'),'k').agg(F.sum('v'),F.avg('x'))",
    "a.withWatermark('ts','5 minutes').groupBy(F.session_window('ts','5 minutes'),'k').agg(F.collect_list('v'))",
    "a.withWatermark('ts','5 minutes').dropDuplicates(['k','ts'])",
    "a.withWatermark('ts','1 minute').join(b.withWatermark('ts','1 minute').drop('x','v'),['ts','k'],'full')",
]


class Killed(BaseException):
    """Ends a batch where it stands, as a signal would."""


@pytest.fixture(scope="module")
def riacho() -> Iterator[RiachoSide]:
    side = RiachoSide()
    yield side
    side.close()


@pytest.mark.parametrize("query", QUERIES)
def test_killed_at_every_file_it_writes(
    riacho: RiachoSide, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(query, "append", [HISTORY, HISTORY[1:]])
    (tmp_path / "whole").mkdir()
    case.write(tmp_path / "whole")
    expected = riacho.run(case, tmp_path / "whole")["batches"]
    writes = _count_writes(riacho, case, tmp_path, monkeypatch)
    assert writes >= len(expected)
    for fatal in range(writes):
        folder = tmp_path / f"killed-{fatal}"
        folder.mkdir()
        case.write(folder)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", _dying_at(fatal, Path.rename))
            found = riacho.run(case, folder, survive=Killed)["batches"]
        assert found == expected, f"killed at write {fatal}"


def _count_writes(riacho: RiachoSide, case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    (folder / "counted").mkdir()
    case.write(folder / "counted")
    calls: list[Path] = []
    rename = Path.rename

    def counted(path: Path, target: Path) -> Path:
        calls.append(path)
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted)
        riacho.run(case, folder / "counted")
    return len(calls)


def _dying_at(fatal: int, rename: Any) -> Any:
    calls = iter(range(10_000))

    def dying(path: Path, target: Path) -> Path:
        if next(calls) == fatal:
            raise Killed
        return rename(path, target)  # type: ignore[no-any-return]

    return dying
