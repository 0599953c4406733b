"""Expectations: rules that the rows of a dataset are to keep, and what a batch tells of them.

A rule that is NULL for a row counts as broken. Rows are counted for each rule that they break, and each row has one
fate: it is written, quarantined, dropped, or makes the batch fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol, runtime_checkable

import pyarrow as pa

from riacho.protos import pb
from riacho.storage import Place

VIOLATED: Final = "EXPECTATION_VIOLATION.VERBOSITY_OUTPUT"
"""The condition of the error that a broken FAIL rule makes, as Lakeflow names it."""

NOTE: Final = "_quarantine"
"""The column of a quarantine table that says why a row is there."""

NOTE_TYPE: Final = pa.struct(
    [
        ("id", pa.string()),
        ("rules", pa.list_(pa.field("element", pa.string()))),
        ("reason", pa.string()),
        ("flow", pa.string()),
        ("source", pa.string()),
        ("batch_id", pa.int64()),
        ("quarantined_at", pa.timestamp("us", "UTC")),
        ("replay", pa.int64()),
    ]
)

RULES: Final = "riacho_expectations"
"""The hint that holds rules, and before a dataset's name the metric that counts them where no sink does."""

FAILED: Final = "failed: "
"""Before a rule's name in that metric; `rows` are all rows."""

_DUPLICATES: Final = "numDroppedDuplicateRows"

SOURCE: Final = "__riacho_source"
"""A column that a flow's query may have for its sink alone: the file that a row came from, "" if it is of none."""

_HELPERS: Final = (SOURCE, "__spark_autocdc_")
"""How the names of columns begin that a query has for its sink; the second is reserved in Spark too."""


def is_of_query(column: str) -> bool:
    """Whether a column is one that the user's query gives, and none that its sink needs."""
    return not column.lower().startswith(_HELPERS)


class Violation(StrEnum):
    """What happens to a row that breaks a rule. Of several rules, the one whose word stands last here decides."""

    WARN = "warn"
    DROP = "drop"
    QUARANTINE = "quarantine"
    FAIL = "fail"


@dataclass(frozen=True)
class Expectation:
    """A rule. `condition` is about the columns that the flow's query gives; `text` is how people see it.

    `repeats`: the rule tells rows that repeat a key, so that its condition looks at other rows (a window).
    """

    name: str
    condition: pb.Expression = field(hash=False)
    on_violation: Violation
    text: str
    repeats: bool = False


@dataclass(frozen=True)
class Checks:
    """The rules that a flow's rows are to keep, whose flow and dataset it is, and where quarantined rows go, if any."""

    flow: str
    dataset: str
    expectations: tuple[Expectation, ...]
    quarantine: Place | None = None


@dataclass(frozen=True)
class ExpectationCount:
    """How many rows of a batch kept a rule and how many broke it. `dataset`: whose rule it is."""

    name: str
    dataset: str
    passed: int
    failed: int


@dataclass(frozen=True)
class RowCounts:
    """Where the rows of a batch went: `rows_in` is the sum of the others.

    `rows_in` are the rows of the flow's query, before operators that keep state dropped `late` and `duplicate` ones.
    `rescued` rows came from records that did not fit and are kept aside by their source.
    """

    rows_in: int
    out: int
    quarantined: int = 0
    dropped: int = 0
    late: int = 0
    duplicate: int = 0
    rescued: int = 0

    @property
    def balances(self) -> bool:
        """Whether each row is accounted for."""
        rest = self.out + self.quarantined + self.dropped + self.late + self.duplicate + self.rescued
        return self.rows_in == rest


@dataclass(frozen=True)
class BatchQuality:
    """What a sink found out about the rows of a batch while it wrote them.

    `in_quarantine`: how many rows of the batch the quarantine table has, as its log says; None if there is none.
    `fates`: of a sink that does not append each row (AUTO CDC), what became of those that are `out`, by name
    (`upserted`, `deleted`). `by_state`: the names of rules that operators which keep state have seen to: they have
    dropped repeated rows before the sink could count them.
    """

    rows: RowCounts
    expectations: Sequence[ExpectationCount] = ()
    in_quarantine: int | None = None
    fates: Mapping[str, int] | None = None
    by_state: Sequence[str] = ()

    def with_state(self, state: Sequence[Mapping[str, Any]]) -> BatchQuality:
        """The same with what these operators counted, given their entries of the batch's progress, in plan order."""
        if not self.by_state:
            return self
        dropped = [each["customMetrics"][_DUPLICATES] for each in state if _DUPLICATES in each["customMetrics"]]
        repeated = dict(zip(reversed(self.by_state), reversed(dropped), strict=False))
        counts = [replace(count, failed=repeated.get(count.name, count.failed)) for count in self.expectations]
        return replace(self, expectations=counts)


def counted(observed: Mapping[str, Mapping[str, Any]]) -> list[ExpectationCount]:
    """What observed metrics, by name, say of the rules of views."""
    counts = []
    for name, values in observed.items():
        if name.startswith(f"{RULES}."):
            dataset, rows = name.removeprefix(f"{RULES}."), values.get("rows") or 0
            for key, failed in values.items():
                if key.startswith(FAILED):
                    counts.append(ExpectationCount(key.removeprefix(FAILED), dataset, rows - failed, failed))
    return counts


@runtime_checkable
class CountsRows(Protocol):
    """A sink's writer that knows what became of the rows of its last batch."""

    quality: BatchQuality | None
    """Of the batch that `add_batch` took last; None if it was a repetition of which nothing is known any more."""
