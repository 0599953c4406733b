"""Rows are measured against rules on their way to a table: counted, kept, put aside, dropped, or refused.

    the flow's rows ──engine──► rows + which rules each breaks, as bits ──here──► those that are kept ──► the sink
                                                                          └────► those put aside ──► <table>_quarantine

The engine evaluates all rules together with the query, and what becomes of a row is decided on columns of Arrow. If the
query treats each row by itself and always alike, the rows need not leave the engine: it says how many rows there are of
each set of bits, then writes the rows that keep the rules. Else the rows come along, and go back.

Rows that are put aside are committed before the sink hears that there are no more rows, so before it commits: whoever
sees a batch in the table can see its quarantined rows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.clock import Clock
from riacho.errors import SparkError, SparkRuntimeError
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, Spool
from riacho.server.engine.spool import empty
from riacho.server.plan import build
from riacho.server.plan.mentions import function_names
from riacho.server.plan.rowwise import is_row_by_row
from riacho.server.plan.walk import expressions as walk_expressions
from riacho.server.plan.walk import walk
from riacho.server.sql.words import words
from riacho.server.streaming.quality import (
    NOTE,
    NOTE_TYPE,
    SOURCE,
    VIOLATED,
    BatchQuality,
    Checks,
    Expectation,
    ExpectationCount,
    RowCounts,
    Violation,
    is_of_query,
)

_BROKEN: Final = "__riacho_broken_"
"""Columns of the flow's rows: bit i is set if the row breaks rule i of those that the column is about."""
_TIMES: Final = "__riacho_times"
_BITS: Final = 62
_ASIDE_BYTES: Final = 32 << 20
"""Rows put aside are held in memory up to this size, then go to the spool."""
_LONGEST_VALUE: Final = 200
_SECRET: Final = re.compile(r"secret|password|token|access[._]?key", re.IGNORECASE)
"""Columns whose values are not shown, as `spark.redaction.regex` has it by default."""
_REDACTED: Final = "*********(redacted)"

Bits = npt.NDArray[np.int64]
WriteAside = Callable[[Sequence[pb.Relation], pa.Schema], None]
"""Writes the rows that were put aside, all relations of one schema; called with none too."""


def bits_of(expectations: Sequence[Expectation]) -> list[pb.Expression]:
    """The columns that say which rules a row breaks; a rule that is NULL is broken."""
    groups = [expectations[start : start + _BITS] for start in range(0, len(expectations), _BITS)]
    return [
        build.alias(_together([_bit(rule, place) for place, rule in enumerate(group)]), f"{_BROKEN}{number}")
        for number, group in enumerate(groups)
    ]


def _bit(rule: Expectation, place: int) -> pb.Expression:
    return _as_bits(build.call("when", rule.condition, build.integer(0), build.integer(1 << place)))


def _together(bits: Sequence[pb.Expression]) -> pb.Expression:
    """All of them, in an expression that is no deeper than need be."""
    if len(bits) == 1:
        return bits[0]
    half = len(bits) // 2
    return _as_bits(build.call("|", _together(bits[:half]), _together(bits[half:])))


def _as_bits(expression: pb.Expression) -> pb.Expression:
    """With its type said, so that the engine need not be asked for it, once for each rule."""
    return build.cast(expression, pa.int64())


_CLOCK: Final = words("NOW CURDATE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIMESTAMP UNIX_TIMESTAMP")


def alike(plan: pb.Relation, expectations: Sequence[Expectation], session: EngineSession) -> bool:
    """Whether a stream's plan, in its resolved form, gives each row the same bits whenever it runs over a batch.

    So it is if it treats each row by itself, and calls neither functions of users nor, in a rule, the clock.
    """
    if session.own_functions or not is_row_by_row(plan) or any(rule.repeats for rule in expectations):
        return False
    of_rules = [part for rule in expectations for part in [rule.condition, *walk_expressions(rule.condition)]]
    of_plan = [part for node in walk(plan) for part in walk_expressions(node)]
    if any(part.WhichOneof("expr_type") == "common_inline_user_defined_function" for part in [*of_rules, *of_plan]):
        return False
    return not any(_tells_time(part) for part in of_rules)


def _tells_time(part: pb.Expression) -> bool:
    if part.HasField("unresolved_attribute"):
        return part.unresolved_attribute.unparsed_identifier.upper() in _CLOCK
    return not function_names(part).isdisjoint(_CLOCK)


def prepared_bits(
    session: EngineSession, schema: pa.Schema, expectations: Sequence[Expectation]
) -> list[pb.Expression]:
    """`bits_of`, as the engine is to have them. Raises what the engine says of a rule."""
    measured = build.project(empty(schema), bits_of(expectations))
    return list(session.prepared(measured, rows=False).project.expressions)


def prepared_rules(
    session: EngineSession, schema: pa.Schema, expectations: Sequence[Expectation]
) -> list[pb.Expression]:
    """A column of `bits_of` for each rule alone, as the engine is to have them."""
    alone = [build.alias(bits_of([rule])[0].alias.expr, f"{_BROKEN}{at}") for at, rule in enumerate(expectations)]
    return list(session.prepared(build.project(empty(schema), alone), rows=False).project.expressions)


def prepared_tests(
    session: EngineSession, schema: pa.Schema, expectations: Sequence[Expectation]
) -> dict[Violation, pb.Expression]:
    """For each consequence that rules have, whether a row breaks one of those, as the engine is to have it."""
    holds: dict[Violation, list[pb.Expression]] = {}
    for rule in expectations:
        held = build.call("coalesce", rule.condition, build.boolean(False))
        holds.setdefault(rule.on_violation, []).append(build.call("not", held))
    columns = [build.alias(reduce(_either, tests), violation) for violation, tests in holds.items()]
    prepared = session.prepared(build.project(empty(schema), columns), rows=False).project.expressions
    return {violation: column.alias.expr for violation, column in zip(holds, prepared, strict=True)}


def _either(one: pb.Expression, other: pb.Expression) -> pb.Expression:
    return build.call("or", one, other)


@dataclass
class Sift:
    """The rules of a flow, ready for its batches. `bits` are `bits_of` or `prepared_bits` of them.

    `alone`: gives `prepared_rules`, for a batch that fails. `identity`: what is unique to the flow's batches, before
    the batch's number. `bits_first`: the bits may be asked for before the rows, see `alike`; `broken` is then
    `prepared_tests`. `has_source`: the rows have the column `SOURCE`.
    """

    checks: Checks
    bits: Sequence[pb.Expression]
    alone: Callable[[], Sequence[pb.Expression]]
    session: EngineSession
    spool: Spool
    clock: Clock
    identity: str
    broken: Mapping[Violation, pb.Expression] = field(default_factory=dict)
    bits_first: bool = False
    has_source: bool = False

    def batch(
        self, relations: Iterable[pb.Relation], batch_id: int, write_aside: WriteAside, source: str | None = None
    ) -> SiftedRows:
        """The rows of a batch that are kept. `source`: where they came from, for rows that do not say it themselves."""
        return SiftedRows(self, relations, batch_id, write_aside, source)


@dataclass
class SiftedRows:
    """See `Sift.batch`. Going through it gives relations of the rows that are kept, as `SinkBatch.relations` has it.

    At the end the rows put aside are written; then `quality` says what there was. Raises EXPECTATION_VIOLATION if a row
    broke a FAIL rule; then nothing was put aside, and whoever asked for rows is to write none.
    """

    sift: Sift
    relations: Iterable[pb.Relation]
    batch_id: int
    write_aside: WriteAside
    source: str | None = None
    quality: BatchQuality | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[pb.Relation]:
        self.quality = None
        tally = _Tally(self)
        given = iter(self.relations)
        relation = next(given, None)
        while relation is not None:
            if self.sift.bits_first:
                yield self._chosen(relation, tally)
                relation = next(given, None)
                continue
            kept = self._kept(relation, tally)
            yield kept
            relation = next(given, None)
            if relation is not None:
                self.sift.spool.remove(kept)
        tally.refuse()
        if any(rule.on_violation is Violation.QUARANTINE for rule in self.sift.checks.expectations):
            self.write_aside(tally.aside.relations(), tally.aside.schema)
        self.quality = tally.quality()

    def _chosen(self, relation: pb.Relation, tally: _Tally) -> pb.Relation:
        """The rows that are kept, once it is known which they are."""
        sift = self.sift
        found = tally.measured(self._measured(relation, _counted(relation, sift.bits)))
        if found.refused or found.quarantined:
            wanted = sift.broken[Violation.FAIL if found.refused else Violation.QUARANTINE]
            measured = build.project(build.where(relation, wanted), [build.star(), *sift.bits])
            for batch in sift.session.stream(measured):
                tally.look_at(batch)
        if found.lost:
            lost = [sift.broken[each] for each in (Violation.DROP, Violation.QUARANTINE) if each in sift.broken]
            relation = build.where(relation, build.call("not", reduce(_either, lost)))
        return build.drop(relation, [SOURCE]) if sift.has_source else relation

    def _kept(self, relation: pb.Relation, tally: _Tally) -> pb.Relation:
        batches = self._measured(relation, build.project(relation, [build.star(), *self.sift.bits]))
        first = tally.kept(next(batches))

        def kept() -> Iterator[pa.RecordBatch]:
            yield first
            for batch in batches:
                yield tally.kept(batch)

        written, _ = self.sift.spool.put(kept(), first.schema)
        return written

    def _measured(self, relation: pb.Relation, measured: pb.Relation) -> Iterator[pa.RecordBatch]:
        """What `measured` asks of the rows of `relation`. Of an error that a rule makes, it is told whose it is."""
        try:
            yield from self.sift.session.stream(measured)
        except SparkError as error:
            rule = self._cause(relation)
            if rule is not None:
                named = f"the expectation '{rule.name}' ({rule.text}) of {self.sift.checks.dataset}"
                error.message += f"\nThis is about {named}: a rule that raises an error fails its flow."
                error.args = (error.message,)
            raise

    def _cause(self, relation: pb.Relation) -> Expectation | None:
        """The rule that cannot be asked of these rows; None if the rows cannot even be had."""
        if self._fails(relation):
            return None
        rules = zip(self.sift.checks.expectations, self.sift.alone(), strict=True)
        return next((rule for rule, column in rules if self._fails(build.project(relation, [column]))), None)

    def _fails(self, relation: pb.Relation) -> bool:
        try:
            for _ in self.sift.session.stream(relation):
                pass
        except SparkError:
            return True
        return False


@dataclass(frozen=True)
class _Measured:
    """How many rows of a relation make it fail, are put aside, and are not written."""

    refused: int
    quarantined: int
    lost: int


class _Tally:
    """What is known of a batch's rows so far."""

    def __init__(self, rows: SiftedRows) -> None:
        rules = rows.sift.checks.expectations
        self._checks = rows.sift.checks
        self._columns = len(rows.sift.bits)
        self._drop, self.quarantine, self.fail = (
            _mask(rules, violation, self._columns)
            for violation in (Violation.DROP, Violation.QUARANTINE, Violation.FAIL)
        )
        self.lost = [drop | quarantine for drop, quarantine in zip(self._drop, self.quarantine, strict=True)]
        self._failed = np.zeros(len(rules), dtype=np.int64)
        self._rows = self._out = self._refused = 0
        self._example: dict[str, object] | None = None
        self.aside = _Aside(rows)

    def kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Take in rows and the bits behind them: those that are to be written."""
        width = batch.num_columns - self._columns
        bits = [column.to_numpy(zero_copy_only=False) for column in batch.columns[width:]]
        rows = batch.select([name for name in batch.schema.names[:width] if name != SOURCE])
        self._rows += batch.num_rows
        if not any(column.any() for column in bits):
            self._out += rows.num_rows
            return rows
        self._count(*_histogram(bits))
        refused = _meets(bits, self.fail)
        if refused.any():
            if self._example is None:
                self._example = rows.slice(int(np.argmax(refused)), 1).to_pylist()[0]
            self._refused += int(np.count_nonzero(refused))
        quarantined = _meets(bits, self.quarantine)
        if quarantined.any():
            self.aside.add(batch, width, quarantined, bits)
        lost = quarantined | _meets(bits, self._drop)
        if lost.any():
            rows = rows.filter(pa.array(~lost))
        self._out += rows.num_rows
        return rows

    def measured(self, counts: Iterable[pa.RecordBatch]) -> _Measured:
        """Take in how many rows have which bits, as `_counted` gives it."""
        rows = refused = quarantined = lost = 0
        for batch in counts:
            *bits, times = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
            self._count(bits, times)
            rows += int(times.sum())
            refused += int(times[_meets(bits, self.fail)].sum())
            quarantined += int(times[_meets(bits, self.quarantine)].sum())
            lost += int(times[_meets(bits, self.lost)].sum())
        self._rows += rows
        self._refused += refused
        self._out += rows - lost
        return _Measured(refused, quarantined, lost)

    def look_at(self, batch: pa.RecordBatch) -> None:
        """Put rows aside whose bits have been taken in before, or keep one as the example of those that are refused."""
        if not batch.num_rows:
            return
        width = batch.num_columns - self._columns
        if self._refused:
            names = [name for name in batch.schema.names[:width] if name != SOURCE]
            self._example = self._example or batch.select(names).slice(0, 1).to_pylist()[0]
            return
        bits = [column.to_numpy(zero_copy_only=False) for column in batch.columns[width:]]
        self.aside.add(batch, width, np.ones(batch.num_rows, dtype=np.bool_), bits)

    def refuse(self) -> None:
        """Raise EXPECTATION_VIOLATION if a row broke a FAIL rule."""
        if self._refused:
            raise violated(self._checks, self._failed, self._rows, self._refused, self._example or {})

    def quality(self) -> BatchQuality:
        quarantined = self.aside.rows
        return BatchQuality(
            RowCounts(self._rows, self._out, quarantined=quarantined, dropped=self._rows - self._out - quarantined),
            [
                ExpectationCount(rule.name, self._checks.dataset, self._rows - int(failed), int(failed))
                for rule, failed in zip(self._checks.expectations, self._failed, strict=True)
            ],
            by_state=[
                rule.name for rule in self._checks.expectations if rule.repeats and rule.condition.HasField("literal")
            ],
        )

    def _count(self, bits: Sequence[Bits], times: Bits) -> None:
        """Count each rule once for all rows that break the same ones: `times` rows have `bits`."""
        for number, column in enumerate(bits):
            for place in range(min(_BITS, len(self._failed) - number * _BITS)):
                self._failed[number * _BITS + place] += times[(column >> place) & 1 == 1].sum()


class _Aside:
    """Rows that are put aside, with the note that says why."""

    def __init__(self, rows: SiftedRows) -> None:
        self._batch = rows
        self._rules = rows.sift.checks.expectations
        self._spool = rows.sift.spool
        self._held: list[pa.RecordBatch] = []
        self._spooled: list[pb.Relation] = []
        self._now = pa.scalar(rows.sift.clock.now_ms() * 1000, pa.timestamp("us", "UTC"))
        self.rows = 0
        self.schema = pa.schema([])

    def add(self, batch: pa.RecordBatch, width: int, wanted: npt.NDArray[np.bool_], bits: Sequence[Bits]) -> None:
        """Put the `wanted` rows of `batch` aside: its first `width` columns, and what its bits say."""
        mask = pa.array(wanted)
        chosen = batch.filter(mask)
        note = self._note(chosen, [column[wanted] for column in bits])
        names = [name for name in batch.schema.names[:width] if is_of_query(name)]
        whole = chosen.select(names).append_column(pa.field(NOTE, NOTE_TYPE), note)
        self.schema = whole.schema
        self.rows += whole.num_rows
        self._held.append(whole)
        if sum(held.nbytes for held in self._held) >= _ASIDE_BYTES:
            self._flush()

    def relations(self) -> list[pb.Relation]:
        """All rows that were put aside."""
        self._flush()
        return self._spooled

    def _flush(self) -> None:
        if self._held:
            self._spooled.append(self._spool.put(self._held, self.schema)[0])
            self._held = []

    def _note(self, rows: pa.RecordBatch, bits: Sequence[Bits]) -> pa.StructArray:
        """The column `_quarantine` of rows that break the rules of these bits."""
        size = rows.num_rows
        sift = self._batch.sift
        distinct, which = np.unique(np.stack(bits, axis=1), axis=0, return_inverse=True)
        broken = [self._broken(row) for row in distinct]
        names, reasons = (
            pa.array(values, kind).take(pa.array(which.reshape(-1)))
            for values, kind in (
                ([[rule.name for rule in rules] for rules in broken], NOTE_TYPE.field("rules").type),
                (["; ".join(rule.text for rule in rules) for rules in broken], pa.string()),
            )
        )
        numbers = pa.array(np.arange(self.rows, self.rows + size)).cast(pa.string())
        prefix = pa.scalar(f"{sift.identity}-{self._batch.batch_id}-")
        source = pa.scalar(self._batch.source, pa.string())
        if SOURCE in rows.schema.names:
            files = rows.column(SOURCE).cast(pa.string())
            sources = pc.if_else(pc.fill_null(pc.equal(files, ""), True), source, files)
        else:
            sources = pa.repeat(source, size)
        values = {
            "id": pc.binary_join_element_wise(prefix, numbers, ""),
            "rules": names,
            "reason": reasons,
            "flow": pa.repeat(pa.scalar(sift.checks.flow), size),
            "source": sources,
            "batch_id": pa.repeat(pa.scalar(self._batch.batch_id, pa.int64()), size),
            "quarantined_at": pa.repeat(self._now, size),
            "replay": pa.nulls(size, pa.int64()),
        }
        return pa.StructArray.from_arrays(list(values.values()), fields=list(NOTE_TYPE))

    def _broken(self, bits: npt.NDArray[np.int64]) -> list[Expectation]:
        """The rules of these bits that keep a row out of its table."""
        return [
            rule
            for number, rule in enumerate(self._rules)
            if int(bits[number // _BITS]) >> (number % _BITS) & 1 and rule.on_violation is not Violation.WARN
        ]


def _counted(relation: pb.Relation, bits: Sequence[pb.Expression]) -> pb.Relation:
    """How many rows have which bits: the columns of bits, and the number of rows."""
    measured = build.project(relation, bits)
    names = [build.col(f"{_BROKEN}{number}") for number in range(len(bits))]
    return build.group(measured, names, [build.alias(build.call("count", build.integer(1)), _TIMES)])


def _histogram(bits: Sequence[Bits]) -> tuple[list[Bits], Bits]:
    """The distinct sets of bits, column by column, and how many rows have each: few, however many rows there are."""
    if len(bits) == 1:
        found, times = np.unique(bits[0], return_counts=True)
        return [found], times
    sets, times = np.unique(np.stack(bits, axis=1), axis=0, return_counts=True)
    return list(sets.T), times


def _mask(rules: Sequence[Expectation], violation: Violation, columns: int) -> list[int]:
    """The bits of the rules with that consequence, for each column of bits."""
    masks = [0] * columns
    for number, rule in enumerate(rules):
        if rule.on_violation is violation:
            masks[number // _BITS] |= 1 << (number % _BITS)
    return masks


def _meets(bits: Sequence[Bits], masks: Sequence[int]) -> npt.NDArray[np.bool_]:
    """The rows that have one of the bits."""
    return reduce(np.logical_or, ((column & mask) != 0 for column, mask in zip(bits, masks, strict=True)))


def aside_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of the quarantine table of a dataset whose flow gives `schema`."""
    own = [column for column in types.nullable(types.normalise_schema(schema)) if is_of_query(column.name)]
    return pa.schema([*own, pa.field(NOTE, NOTE_TYPE)])


def violated(
    checks: Checks, failed: Sequence[int] | Bits, rows: int, refused: int, example: dict[str, object]
) -> SparkRuntimeError:
    """The error for rows that broke FAIL rules: which rules, how many rows, and one of them without its secrets."""
    broken = [
        f"{rule.name} ({rule.text}), {int(count)} of {rows} rows"
        for rule, count in zip(checks.expectations, failed, strict=True)
        if rule.on_violation is Violation.FAIL and count
    ]
    record = _text({name: _short(value) for name, value in _redacted(example).items() if is_of_query(name)})
    named = "; ".join(broken)
    return SparkRuntimeError.of(
        VIOLATED,
        f"Flow '{checks.flow}' failed to meet the expectation. Violated expectations: '{named}'. "
        f"Output record: '{record}'. {refused} rows for {checks.dataset} are refused, and nothing of the batch is "
        "written.",
        sql_state="22000",
        flowName=checks.flow,
        expectationsViolated=named,
        outputRecord=record,
    )


def _redacted(value: Any) -> Any:
    """A value without what is named like a secret, or speaks of one, however deep it lies."""
    if isinstance(value, dict):
        return {name: _REDACTED if _is_secret(name) else _redacted(inner) for name, inner in value.items()}
    if isinstance(value, tuple):  # an entry of a map
        return (value[0], _REDACTED if _is_secret(value[0]) else _redacted(value[1]))
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return _REDACTED if _is_secret(value) else value


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and _SECRET.search(value) is not None


def _short(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else _text(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
