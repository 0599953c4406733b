"""The demo's landing zone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from systems.telecom.demo import FEWEST_BATCHES, HISTORY_BATCHES, LIVE_BATCHES, LIVE_DAMAGE, LandingZone


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem[-6:]) for path in folder.glob("*/*/*.parquet"))


def test_the_first_run_lands_a_history_and_the_next_what_was_missed(tmp_path: Path) -> None:
    first = LandingZone(tmp_path)
    files, rows = first.land_history()
    assert (first.known, files) == (0, HISTORY_BATCHES)
    assert rows > files

    again = LandingZone(tmp_path)
    assert again.known == HISTORY_BATCHES
    assert again.land_history()[0] == FEWEST_BATCHES
    assert numbers(tmp_path) == list(range(HISTORY_BATCHES + FEWEST_BATCHES))

    for path in tmp_path.glob("*/*/*.parquet"):
        os.utime(path, (0, time.time() - 200))
    assert LandingZone(tmp_path).land_history()[0] == 20


def test_files_land_while_something_goes_on(tmp_path: Path) -> None:
    zone = LandingZone(tmp_path)
    with zone.landing_live() as landed:
        pass
    assert [each.batch for each in landed] == numbers(tmp_path) == list(range(LIVE_BATCHES))
    assert {each.batch: each.damage for each in landed if each.damage} == LIVE_DAMAGE
