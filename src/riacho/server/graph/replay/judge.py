"""What becomes of quarantined rows under the rules of now. Arrow in, Arrow out; nothing is read or written here.

Which of its rules a row breaks is a row of a matrix: one column for each rule, in the order of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.streaming.quality import Expectation, Violation

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Verdicts:
    """What becomes of rows, each known by its number: `taken` ones pass, `dropped` ones go, `staying` ones stay.

    `rules` and `reasons`: what the staying ones break now. `passed` and `failed`: rows by rule, of all that were
    judged. `fatal`: rules that end a flow and that some row breaks.
    """

    taken: Numbers
    dropped: Numbers
    staying: Numbers
    rules: pa.Array
    reasons: pa.Array
    passed: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    fatal: tuple[str, ...] = ()

    @property
    def judged(self) -> int:
        return len(self.taken) + len(self.dropped) + len(self.staying)


def judge(numbers: Numbers, broken: Bools, rules: Sequence[Expectation]) -> Verdicts:
    """Decide on the rows of these numbers; `broken` has a row for each of them and a column for each rule."""
    failed = broken.sum(axis=0)
    stays = _any(broken, rules, Violation.QUARANTINE)
    drops = _any(broken, rules, Violation.DROP) & ~stays
    keeping = np.array([rule.on_violation is not Violation.WARN for rule in rules], dtype=bool)
    lists = _lists(broken[stays][:, keeping], [rule for rule, kept in zip(rules, keeping, strict=True) if kept])
    return Verdicts(
        taken=numbers[~stays & ~drops],
        dropped=numbers[drops],
        staying=numbers[stays],
        rules=lists[0],
        reasons=lists[1],
        passed={rule.name: len(numbers) - int(count) for rule, count in zip(rules, failed, strict=True)},
        failed={rule.name: int(count) for rule, count in zip(rules, failed, strict=True)},
        fatal=tuple(
            rule.name
            for rule, count in zip(rules, failed, strict=True)
            if count and rule.on_violation is Violation.FAIL
        ),
    )


def _any(broken: Bools, rules: Sequence[Expectation], on_violation: Violation) -> Bools:
    """Which rows break a rule with that outcome."""
    columns = [place for place, rule in enumerate(rules) if rule.on_violation is on_violation]
    found: Bools = np.logical_or.reduce(broken[:, columns], axis=1)
    return found


def _lists(broken: Bools, rules: Sequence[Expectation]) -> tuple[pa.Array, pa.Array]:
    """For each row the names of the rules that it breaks, and their conditions as one text."""
    offsets = np.concatenate([[0], np.cumsum(broken.sum(axis=1))]).astype(np.int32)
    places = pa.array(np.nonzero(broken)[1].astype(np.int64))
    names = pa.array([rule.name for rule in rules], pa.string()).take(places)
    texts = pa.array([rule.text for rule in rules], pa.string()).take(places)
    at = pa.array(offsets, pa.int32())
    reasons = pc.binary_join(pa.ListArray.from_arrays(at, texts), "; ")
    return pa.ListArray.from_arrays(at, names), reasons


def with_fields(batch: pa.RecordBatch, column: str, changed: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """`batch` with other values in some fields of a struct column."""
    place = batch.schema.get_field_index(column)
    struct = batch.column(place)
    arrays: list[Any] = []
    for number, each in enumerate(struct.type):
        new = changed.get(each.name)
        arrays.append(struct.field(number) if new is None else new.cast(each.type))
    rebuilt = pa.StructArray.from_arrays(arrays, fields=list(struct.type))
    return batch.set_column(place, batch.schema.field(place), rebuilt)
