"""The row ledger of a batch: where each row went, and whether that adds up.

    rows_in = out + quarantined + dropped + late + duplicate + rescued

The two sides are counted by different parts. On the left stands what the sources read. On the right stand the rows in
the add actions of the target and the quarantine table, as their logs have them, and the rows that operators and rules
say they kept out. So a row that gets lost or doubled in between shows.

Where rows are not passed on one for one there is no such sum. Then what the sources read stands beside what was
written, with the reason why it cannot be held against it; of a flow with rules, what reached the sink still is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from riacho.server.plan.row_shape import RowShape
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.quality import BatchQuality

_LATE = "numRowsDroppedByWatermark"
_DUPLICATE = "numDroppedDuplicateRows"


class Balance(StrEnum):
    """How far a ledger could be checked, and what came of it."""

    BALANCED = "BALANCED"
    SINK_BALANCED = "SINK_BALANCED"
    """What reached the sink is accounted for; what was read is not held against it."""
    MISMATCH = "MISMATCH"
    UNCHECKED = "UNCHECKED"


@dataclass(frozen=True)
class RowLedger:
    """One batch's rows. None: not known.

    `at_sink`: rows that reached the sink, which has rules. `figures`: more counts, by name. `missing`: how many rows
    of the left side are not on the right one, below 0 if some are there that should not. `why`: why there is no sum,
    or what does not add up.
    """

    rows_in: int | None
    out: int | None
    quarantined: int = 0
    dropped: int = 0
    late: int = 0
    duplicate: int = 0
    rescued: int = 0
    at_sink: int | None = None
    figures: Mapping[str, int] = field(default_factory=dict)
    balance: Balance = Balance.UNCHECKED
    missing: int = 0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the event log has it."""
        return {
            "rows_in": self.rows_in,
            "out": self.out,
            "quarantined": self.quarantined,
            "dropped": self.dropped,
            "late": self.late,
            "duplicate": self.duplicate,
            "rescued": self.rescued,
            "at_sink": self.at_sink,
            "figures": dict(self.figures),
            "balance": str(self.balance),
            "missing": self.missing,
            "why": self.why or None,
        }


def ledger(progress: Progress) -> RowLedger:
    """The ledger of a streaming query's batch."""
    read = sum(source.rows * source.places for source in progress.sources)
    rescued = sum(int(source.metrics.get("numRecordsSetAside", 0)) for source in progress.sources)
    late, duplicate = _sum(progress.state, _LATE), _sum(progress.state, _DUPLICATE)
    quality = progress.quality
    shape = progress.shape
    found = RowLedger(
        read + rescued,
        progress.output_rows,
        late=late,
        duplicate=duplicate,
        rescued=rescued,
        figures=_figures(progress, shape),
    )
    if shape is None:
        return _said(found, Balance.UNCHECKED, "the sink does not know what became of the rows")
    return _checked(found, shape, quality)


def view_ledger(rows: int | None, quality: BatchQuality | None) -> RowLedger:
    """The ledger of a materialized view that was computed: `rows` is what its table's log says."""
    return _checked(RowLedger(rows_in=None, out=rows), RowShape(others=("batch query",)), quality)


def _checked(found: RowLedger, shape: RowShape, quality: BatchQuality | None) -> RowLedger:
    counts = None if quality is None else quality.rows
    filled = found
    if quality is not None and counts is not None:
        filled = replace(
            found,
            # A sink that makes changes of its rows (AUTO CDC) says itself what became of each.
            out=found.out if quality.fates is None else counts.out,
            figures={**found.figures, **(quality.fates or {})},
            late=found.late + counts.late,
            duplicate=found.duplicate + counts.duplicate,
            quarantined=counts.quarantined if quality.in_quarantine is None else quality.in_quarantine,
            dropped=counts.dropped,
            at_sink=counts.rows_in,
        )
    if filled.out is None:
        return _said(filled, Balance.UNCHECKED, "the sink does not say how many rows it wrote")
    written = filled.out + filled.quarantined + filled.dropped
    beside = 0 if counts is None else counts.late + counts.duplicate
    if counts is not None and (gap := counts.rows_in - written - beside):
        return _said(filled, Balance.MISMATCH, "rows that reached the sink are not what the tables' logs have", gap)
    if shape.others:
        why = f"not row by row: {', '.join(shape.others)}"
        return _said(filled, Balance.UNCHECKED if counts is None else Balance.SINK_BALANCED, why)
    assert filled.rows_in is not None
    gap = filled.rows_in - written - filled.late - filled.duplicate - filled.rescued
    if shape.filtered and gap >= 0:
        return _said(replace(filled, figures={**filled.figures, "filtered": gap}), Balance.BALANCED, "")
    if gap:
        return _said(filled, Balance.MISMATCH, "rows that were read are not what became of them", gap)
    return _said(filled, Balance.BALANCED, "")


def _said(filled: RowLedger, balance: Balance, why: str, missing: int = 0) -> RowLedger:
    return replace(filled, balance=balance, why=why, missing=missing)


def _figures(progress: Progress, shape: RowShape | None) -> dict[str, int]:
    """What operators that keep state did, where rows do not pass one for one."""
    if shape is None or shape.is_exact or not progress.state:
        return {}
    return {
        "state_rows_updated": sum(int(each.get("numRowsUpdated", 0)) for each in progress.state),
        "state_rows_removed": sum(int(each.get("numRowsRemoved", 0)) for each in progress.state),
    }


def _sum(state: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(int(each.get(key, 0) or each.get("customMetrics", {}).get(key, 0)) for each in state)
