"""What `riacho demo` shows: a history that is there at once, and files that land while the pipeline runs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from riacho.cli.terminal import counted

from .generator.source import Damage, LandedFile, TelecomOptions, generate

INTERVAL_S = 10.0
HISTORY_BATCHES = 60
"""Ten minutes of files, one every ten seconds."""
FEWEST_BATCHES = 8
"""A second run lands what would have landed since the first, and no less than this."""
LIVE_BATCHES = 16
LIVE_INTERVAL_S = 0.1
LIVE_DAMAGE = {2: Damage.CHANGED_TYPE, 5: Damage.TRUNCATED, 8: Damage.EXTRA_COLUMN}
"""What is wrong with which of the live files."""
WHAT_BECOMES_OF_IT = {
    Damage.CHANGED_TYPE: "has its speeds as text: they are rescued",
    Damage.TRUNCATED: "is cut off in the middle: it is set aside and reported",
    Damage.EXTRA_COLUMN: "has one column more: the table gets it",
}
LIVE_LIMIT_S = 30.0

_BATCH_NUMBER = re.compile(r"_(\d{6,})\.parquet")


class Demo:
    """See `riacho.cli.systems.Demo`: ten minutes of files, then a few that land while the pipeline runs."""

    continuous = True
    question = "SELECT * FROM silver.valid_events_quarantine"

    def __init__(self, folder: Path) -> None:
        self._zone = LandingZone(folder / "landing")
        self.confs = {"telecom.landing": str(self._zone.folder), "telecom.schemas": str(folder / "schemas")}

    @contextmanager
    def services(self) -> Iterator[None]:
        """Files need none."""
        yield

    def history(self) -> Iterator[str]:
        if self._zone.known:
            yield f"{counted(self._zone.known, 'file')} of an earlier run are there already"
        files, rows = self._zone.land_history()
        yield f"{counted(files, 'file')} with {counted(rows, 'event')} of phones and computers"

    @contextmanager
    def live(self) -> Iterator[Callable[[], Iterator[str]]]:
        with self._zone.landing_live() as landed:
            yield lambda: _told(landed)


def _told(landed: list[LandedFile]) -> Iterator[str]:
    yield f"{counted(len(landed), 'file')} landed meanwhile, not all as they should be:"
    for each in landed:
        if each.damage:
            yield f"  one of {each.rows} rows {WHAT_BECOMES_OF_IT[each.damage]}"


class LandingZone:
    """The files below `folder`. Batches go on after the last one that is there; `known` files were there before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        there = [path for path in folder.glob("*/*/*.parquet") if _BATCH_NUMBER.search(path.name)]
        self.known = len(there)
        self._next = 1 + max((_number(path) for path in there), default=-1)
        self._newest_s = max((path.stat().st_mtime for path in there), default=0.0)

    def land_history(self) -> tuple[int, int]:
        """Land, at once, the files of the last ten minutes, or of the time since the newest; how many, and rows."""
        missed = int((time.time() - self._newest_s) / INTERVAL_S)
        batches = min(max(missed, FEWEST_BATCHES), HISTORY_BATCHES)
        landed = list(self._land(TelecomOptions(first_batch=self._next, batches=batches, wait=False)))
        return len(landed), sum(each.rows for each in landed)

    @contextmanager
    def landing_live(self) -> Iterator[list[LandedFile]]:
        """Let files land while the block runs, in another thread; all have landed when the block is left."""
        landed: list[LandedFile] = []
        settings = TelecomOptions(
            first_batch=self._next,
            batches=LIVE_BATCHES,
            interval_s=LIVE_INTERVAL_S,
            damage=tuple((self._next + offset, damage) for offset, damage in LIVE_DAMAGE.items()),
        )
        thread = threading.Thread(target=lambda: landed.extend(self._land(settings)), name="landing", daemon=True)
        thread.start()
        yield landed
        thread.join(LIVE_LIMIT_S)

    def _land(self, settings: TelecomOptions) -> Iterator[LandedFile]:
        for landed in generate(self.folder, settings):
            self._next = landed.batch + 1
            yield landed


def _number(path: Path) -> int:
    found = _BATCH_NUMBER.search(path.name)
    assert found is not None, path
    return int(found[1])
