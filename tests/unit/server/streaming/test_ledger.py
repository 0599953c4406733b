"""Whether the rows of a batch add up, and what is said if they do not."""

from __future__ import annotations

from typing import Any

import pytest

from riacho.ids import BatchId, QueryId, RunId
from riacho.server.plan.row_shape import RowShape
from riacho.server.streaming.ledger import Balance, RowLedger, ledger, view_ledger
from riacho.server.streaming.progress import Progress, SourceProgress
from riacho.server.streaming.quality import BatchQuality, RowCounts

EXACT = RowShape()
DEDUPLICATION = {"numRowsDroppedByWatermark": 2, "customMetrics": {"numDroppedDuplicateRows": 3}}


def of(
    *read: int, out: int | None, shape: RowShape | None = EXACT, places: int = 1, metrics: Any = None, **given: Any
) -> RowLedger:
    sources = [SourceProgress("S", None, None, None, rows, metrics or {}, places) for rows in read]
    return ledger(
        Progress(QueryId("q"), RunId("r"), None, 0, BatchId(0), {}, sources, "K", output_rows=out, shape=shape, **given)
    )


@pytest.mark.parametrize("number", [-1, 1])
def test_a_row_that_is_lost_or_doubled_shows(number: int) -> None:
    found = of(10, out=10 + number)
    assert (found.balance, found.missing) == (Balance.MISMATCH, -number)
    assert "read" in found.why


def test_rows_of_all_sources_and_all_places_count() -> None:
    assert of(10, 5, out=15).balance is Balance.BALANCED
    assert of(10, out=20, places=2).balance is Balance.BALANCED
    assert of(10, out=10, places=2).missing == 10
    aside = of(10, out=10, metrics={"numRecordsSetAside": "4"})
    assert (aside.balance, aside.rows_in, aside.rescued) == (Balance.BALANCED, 14, 4)


def test_what_operators_drop_is_accounted_for() -> None:
    found = of(10, out=5, state=[DEDUPLICATION])
    assert (found.late, found.duplicate, found.balance) == (2, 3, Balance.BALANCED)
    assert of(10, out=6, state=[DEDUPLICATION]).missing == -1


def test_a_filter_takes_rows_out_and_adds_none() -> None:
    shape = RowShape(filtered=True)
    found = of(10, out=7, shape=shape)
    assert (found.figures, found.balance) == ({"filtered": 3}, Balance.BALANCED)
    assert of(10, out=11, shape=shape).balance is Balance.MISMATCH


def test_what_a_sink_with_rules_got_is_held_against_the_logs_of_its_tables() -> None:
    counts = RowCounts(10, out=6, quarantined=3, dropped=1)
    good = of(10, out=6, quality=BatchQuality(counts, in_quarantine=3))
    assert (good.quarantined, good.dropped, good.at_sink, good.balance) == (3, 1, 10, Balance.BALANCED)
    lost = of(10, out=6, quality=BatchQuality(counts, in_quarantine=2))
    assert (lost.balance, lost.missing) == (Balance.MISMATCH, 1)
    assert "reached the sink" in lost.why

    shape = RowShape(others=("explode",))
    assert of(5, out=6, shape=shape, quality=BatchQuality(counts, in_quarantine=3)).balance is Balance.SINK_BALANCED
    assert of(5, out=5, shape=shape, quality=BatchQuality(counts, in_quarantine=3)).missing == 1
    # What came to the sink is right, and yet not what was read.
    assert of(11, out=6, quality=BatchQuality(counts, in_quarantine=3)).missing == 1


def test_changes_of_rows_are_counted_by_who_makes_them() -> None:
    counts = RowCounts(10, out=6, late=3, duplicate=1)
    quality = BatchQuality(counts, fates={"upserted": 4, "deleted": 2})
    found = of(10, out=4, quality=quality)
    assert (found.out, found.late, found.duplicate) == (6, 3, 1)
    assert (found.figures, found.balance) == ({"upserted": 4, "deleted": 2}, Balance.BALANCED)
    assert of(11, out=4, quality=quality).missing == 1


def test_what_is_not_row_by_row_is_not_held_against_anything() -> None:
    state = [{"numRowsUpdated": 4, "numRowsRemoved": 1, "numRowsDroppedByWatermark": 2}]
    found = of(10, out=3, shape=RowShape(others=("aggregate",)), state=state)
    assert (found.balance, found.late, found.why) == (Balance.UNCHECKED, 2, "not row by row: aggregate")
    assert found.figures == {"state_rows_updated": 4, "state_rows_removed": 1}
    assert of(10, out=None).balance is Balance.UNCHECKED
    assert of(10, out=3, shape=None).balance is Balance.UNCHECKED


def test_a_view() -> None:
    assert view_ledger(5, None).balance is Balance.UNCHECKED
    quality = BatchQuality(RowCounts(7, out=5, dropped=2))
    assert view_ledger(5, quality).balance is Balance.SINK_BALANCED
    assert view_ledger(4, quality).balance is Balance.MISMATCH
