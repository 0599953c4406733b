"""The commits of a replay on one quarantine table and its target: each atomic, each harmless when repeated.

1. **take**: the rows that pass are marked with the replay's number; those that stay get their fresh reason, those that
   a rule drops now are removed. One commit of the quarantine table.
2. **append**: the marked rows go into the target. The commit carries a `txn` action with the replay's number, so it is
   made once, whoever makes it.
3. **remove**: the marked rows leave the quarantine.

Whoever finds marked rows finds a replay that was cut off, or that goes on elsewhere, and finishes it: what was appended
is removed, what was not is appended first. A target that refuses the rows must not hold them for ever. So the number is
**given up** with another `txn` action of the target, behind which the append cannot be made any more, and the marks are
taken off (**release**).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.clock import Clock
from riacho.errors import SparkError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.catalog.base import Table
from riacho.server.catalog.row_changes import Assignment, Runner, TableScope, rewrite, update
from riacho.server.catalog.row_changes import delete as delete_rows
from riacho.server.catalog.row_changes.job import Job, Snapshot, TableChange
from riacho.server.catalog.row_changes.scan import ROW, by_file, numbered_rows, spooled
from riacho.server.delta import changes
from riacho.server.delta.actions import Json, transaction
from riacho.server.delta.state import TableState, not_a_table
from riacho.server.delta.write import AppTransaction, DeltaOperation, RowWriter, WriteMode
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.graph.materialized import aligned
from riacho.server.graph.replay.judge import Numbers, Verdicts, with_fields
from riacho.server.plan import build
from riacho.server.streaming.quality import NOTE

APPLICATION: Final = "riacho-replay"
_REPLAY: Final = "replay"
_RULES: Final = "rules"
_REASON: Final = "reason"
_FLOW: Final = "flow"


class Fate(IntEnum):
    """What became of a replay's number in the target; also the number of the `txn` action that says so."""

    OPEN = 0
    APPENDED = 1
    GIVEN_UP = 2


@dataclass(frozen=True)
class WaitingRows:
    """The rows of a quarantine table at one version that are to be judged: their numbers, and their flows' names."""

    numbers: Numbers
    flows: pa.ChunkedArray

    def of_flow(self, flow: str | None) -> Numbers:
        """The rows that a flow put there."""
        mask = pc.is_null(self.flows) if flow is None else pc.fill_null(pc.equal(self.flows, flow), False)
        found: Numbers = self.numbers[mask.to_numpy()]
        return found

    @property
    def by_flow(self) -> list[str | None]:
        names: list[str | None] = pc.unique(self.flows).to_pylist()
        return names


Judge = Callable[[Job, WaitingRows], Verdicts]
"""Decides on waiting rows. Raises SparkError to leave all as it is."""


class UnfinishedReplayError(Exception):
    """The quarantine table has rows that a replay has marked."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(numbers)
        self.numbers = numbers


class ReplayTables:
    """A quarantine table and the table that its rows belong to."""

    def __init__(self, quarantine: Table, target: Table, engine: EngineSession, clock: Clock) -> None:
        """Raises UnsupportedOperationError if one of them is not Delta."""
        for table in (quarantine, target):
            if table.format.lower() != "delta":
                raise UnsupportedOperationError(
                    f"The table {table.name} has the format {table.format}; a replay needs Delta tables."
                )
        self._quarantine = quarantine
        self._target = target
        self._engine = engine
        self._clock = clock
        self._runner = Runner(engine, clock)
        self._id = _state(quarantine).metadata.id

    def take(self, rules: Sequence[str], judge: Judge, *, keep: bool = False) -> tuple[int, Verdicts]:
        """Judge the rows that wait, and mark those that pass with the number that is returned. `keep`: only judge.

        `rules`: only rows that broke one of these when they were last judged. Rows that others add meanwhile are let
        be; if they change rows, all begins again. Raises UnfinishedReplayError, what `judge` raises, and
        DELTA_CONCURRENT_WRITE.
        """
        found: list[Verdicts] = []
        numbers: list[int] = []

        def make(job: Job, change: TableChange) -> None:
            marked, waiting = _waiting(job.snapshot, rules)
            if marked and not keep:
                raise UnfinishedReplayError(marked)
            # Read behind the snapshot: of a replay whose rows are gone, the target knows the number.
            number = self._next_number(marked)
            verdicts = judge(job, waiting)
            found.append(verdicts)
            numbers.append(number)
            if not keep:
                _change(job.snapshot, verdicts, number, change)

        self._runner.run(self._quarantine.location, DeltaOperation("REPLAY", {"step": "take"}), make)
        return numbers[-1], found[-1]

    def finish(self, number: int) -> int:
        """Bring a replay to its end, whoever began it: how many rows left the quarantine for the target through us.

        Raises what the target says of rows that it refuses; they wait in the quarantine again then.
        """
        if self._fate(number) is Fate.OPEN:
            try:
                self._append(number)
            except SparkError:
                self._give_up(number)
                if self._fate(number) is not Fate.APPENDED:
                    self._release(number)
                    raise
        if self._fate(number) is Fate.GIVEN_UP:
            self._release(number)
            return 0
        counts = delete_rows(
            self._runner, self._quarantine.location, self._scope, _marked(number), f"{NOTE}.replay = {number}"
        )
        return counts["num_affected_rows"]

    @property
    def _scope(self) -> TableScope:
        name = self._quarantine.name
        return TableScope((name.catalog, name.database, name.table))

    def _application(self, number: int) -> str:
        """The name under which the target notes what became of a replay: another one for each, so no order matters."""
        return f"{APPLICATION}-{self._id}-{number}"

    def _fate(self, number: int) -> Fate:
        noted = _state(self._target).transactions.get(self._application(number))
        return Fate.OPEN if noted is None else Fate(noted)

    def _next_number(self, marked: Sequence[int]) -> int:
        """A number that no replay into this target has had: the time in microseconds, or more."""
        prefix = self._application(0)[:-1]
        known = (name.removeprefix(prefix) for name in _state(self._target).transactions if name.startswith(prefix))
        used = [int(number) for number in known if number.isdecimal()]
        return max([self._clock.now_ms() * 1000, *(number + 1 for number in [*used, *marked])])

    def _append(self, number: int) -> None:
        mode = WriteMode(merge_schema=True)  # rows keep what they had
        writer = RowWriter(DeltaWriter(self._target.location), self._engine, mode, self._clock)
        operation = DeltaOperation("WRITE", {"mode": "Append", "replay": str(number)})

        def write(job: Job, _: TableChange) -> None:
            relation, schema = self._marked_rows(job, number)
            writer.write([relation], schema, operation, AppTransaction(self._application(number), Fate.APPENDED))

        self._runner.run(self._quarantine.location, DeltaOperation("REPLAY", {"step": "append"}), write)

    def _marked_rows(self, job: Job, number: int) -> tuple[pb.Relation, pa.Schema]:
        """The rows of a replay with their own columns, in the types that these have in the target."""
        schema, batches = numbered_rows(job.snapshot, [NOTE])
        table = pa.Table.from_batches(batches, schema)
        marked = pc.fill_null(pc.equal(pc.struct_field(table[NOTE], _REPLAY), number), False)
        hits = by_file(table[ROW].filter(marked).to_numpy().astype(np.int64))
        have, rows = numbered_rows(job.snapshot, [name for name in job.snapshot.schema.names if name != NOTE], hits)
        relation = spooled(job, (have, rows))
        types = {field.name.lower(): field.type for field in self._target.schema}
        want = [field.with_type(types.get(field.name.lower(), field.type)) for field in have if field.name != ROW]
        return aligned(relation, have, pa.schema(want)), pa.schema(want)

    def _give_up(self, number: int) -> None:
        """See to it that a replay's rows are not appended any more, unless they are."""
        writer = DeltaWriter(self._target.location)
        application = self._application(number)

        def decide(state: TableState | None) -> list[Json] | None:
            if state is None or application in state.transactions:
                return None
            now_ms = self._clock.now_ms()
            info = changes.commit_info("REPLAY", {"step": "give up"}, now_ms, blind_append=True)
            return [info, transaction(application, Fate.GIVEN_UP, now_ms)]

        writer.commit(decide)

    def _release(self, number: int) -> None:
        unmarked = Assignment((NOTE, _REPLAY), build.cast(build.null(), pa.int64()))
        location = self._quarantine.location
        update(self._runner, location, self._scope, [unmarked], _marked(number), f"{NOTE}.replay = {number}")


def _state(table: Table) -> TableState:
    """The table as it is now. Raises DELTA_PATH_DOES_NOT_EXIST."""
    state = DeltaWriter(table.location).state()
    if state is None:
        raise not_a_table(table.location)
    return state


def _marked(number: int) -> pb.Expression:
    return build.call("==", build.field_of(build.col(NOTE), _REPLAY), build.integer(number))


def _waiting(snapshot: Snapshot, rules: Sequence[str]) -> tuple[list[int], WaitingRows]:
    """The numbers of replays that have marked rows, and the rows that wait for one."""
    schema, batches = numbered_rows(snapshot, [NOTE])
    table = pa.Table.from_batches(batches, schema)
    column = table[NOTE]
    replay = pc.struct_field(column, _REPLAY)
    marked = sorted(int(number) for number in pc.unique(pc.drop_null(replay)).to_pylist())
    chosen = pc.is_null(replay)
    if rules:
        chosen = pc.and_(chosen, _broke(pc.struct_field(column, _RULES), rules))
    numbers = table[ROW].filter(chosen).to_numpy().astype(np.int64)
    return marked, WaitingRows(numbers, pc.struct_field(column, _FLOW).filter(chosen))


def _broke(lists: pa.ChunkedArray, rules: Sequence[str]) -> pa.Array:
    """Which of the lists hold one of the rules, whatever its case."""
    wanted = pa.array([rule.lower() for rule in rules], pa.string())
    hits = pc.is_in(pc.utf8_lower(pc.list_flatten(lists)), wanted)
    found = np.zeros(len(lists), dtype=bool)
    found[pc.list_parent_indices(lists).filter(hits).to_numpy()] = True
    return pa.array(found)


def _change(snapshot: Snapshot, verdicts: Verdicts, number: int, change: TableChange) -> None:
    """Mark, drop and tell anew: what the verdicts make of the quarantine table."""
    order = np.argsort(verdicts.staying, kind="stable")
    staying = verdicts.staying[order]
    rules, reasons = (each.take(pa.array(order)) for each in (verdicts.rules, verdicts.reasons))
    updated: list[pa.RecordBatch] = []
    before: list[pa.RecordBatch] = []
    dropped = by_file(verdicts.dropped)
    same: list[Numbers] = []
    _, batches = numbered_rows(snapshot, hits=by_file(np.concatenate([staying, verdicts.taken])))
    for batch in batches:
        rows = batch.column(ROW).to_numpy()
        old = batch.drop_columns([ROW])
        stays = np.isin(rows, staying)
        at = pa.array(np.searchsorted(staying, rows), mask=~stays)
        struct = batch.column(NOTE)
        told = pc.struct_field(struct, _RULES), pc.struct_field(struct, _REASON)
        fresh = rules.take(at).cast(told[0].type), reasons.take(at).cast(told[1].type)
        mark = pa.array(np.full(len(rows), number, np.int64), mask=stays)
        new = with_fields(
            old,
            NOTE,
            {
                _REPLAY: mark,
                _RULES: pc.if_else(pa.array(stays), fresh[0], told[0]),
                _REASON: pc.if_else(pa.array(stays), fresh[1], told[1]),
            },
        )
        differs = ~stays | ~_equal(told, fresh)
        same.append(rows[~differs])
        updated.append(new.filter(pa.array(differs)))
        before.append(old.filter(pa.array(differs)))
    kept = np.concatenate(same) if same else np.empty(0, np.int64)
    touched = np.setdiff1d(np.concatenate([staying, verdicts.taken, verdicts.dropped]), kept)
    if not len(touched):
        return
    rewrite.rewrite(snapshot, by_file(touched), iter(updated), snapshot.schema, change)
    if snapshot.feed:
        gone = rewrite.rows_of(snapshot, dropped, snapshot.schema)
        rewrite.record(
            snapshot,
            chain(
                rewrite.changed(before, rewrite.UPDATE_BEFORE),
                rewrite.changed(updated, rewrite.UPDATE_AFTER),
                rewrite.changed(gone, rewrite.DELETE),
            ),
            change,
        )
    change.metrics |= {
        "numTakenRows": len(verdicts.taken),
        "numDroppedRows": len(verdicts.dropped),
        "numStayingRows": len(verdicts.staying),
    }


def _equal(
    told: tuple[pa.Array, pa.Array], fresh: tuple[pa.Array, pa.Array]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows say already what is to be said of them."""
    joined = [pc.binary_join(pc.fill_null(lists, []), "\0") for lists in (told[0], fresh[0])]
    rules = pc.fill_null(pc.equal(*joined), False)
    reasons = pc.fill_null(pc.equal(told[1], fresh[1]), False)
    return np.asarray(pc.and_(rules, reasons).to_numpy(zero_copy_only=False))
