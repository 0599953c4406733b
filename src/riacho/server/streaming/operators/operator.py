"""What a stateful operator promises the execution that runs it, and what they share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, Spool
from riacho.server.plan.apart import Apart
from riacho.server.plan.rules.batch_time import BatchTime, fill_times
from riacho.server.state.memory import BlockPool
from riacho.server.state.run import NEVER, Mask, Rows
from riacho.server.state.store import RETAIN, StateStore
from riacho.server.streaming.operators.late import LateRows
from riacho.storage import Place

US_PER_MS = 1000
SIZE_METRIC = "stateOnCurrentVersionSizeBytes"
FILES_METRIC = "numStateFiles"
SHUFFLE_PARTITIONS = 1
"""riacho keeps each operator's state in one place; Spark would show `spark.sql.shuffle.partitions` here."""
_SEQ_BITS = 32
"""A batch has fewer rows than 2 to this."""


@dataclass(frozen=True)
class BatchContext:
    """What an operator is told of a batch. Watermarks in microseconds, as they reach this operator.

    `late_rows`: where it puts rows that it drops as late; None if nobody wants them.
    """

    version: int
    """The state version that this batch makes: its id plus one."""
    late_us: int
    evict_us: int
    time: BatchTime
    late_rows: list[LateRows] | None = None


@dataclass
class OperatorProgress:
    """One entry of `stateOperators` in a query's progress, counted as Spark counts."""

    name: str
    total: int = 0
    updated: int = 0
    removed: int = 0
    dropped: int = 0
    updates_ms: float = 0
    removals_ms: float = 0
    commit_ms: float = 0
    memory_bytes: int = 0
    custom: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: Literal["updates_ms", "removals_ms", "commit_ms"]) -> Iterator[None]:
        """Add the time that the block takes."""
        started = time.monotonic()
        yield
        setattr(self, what, getattr(self, what) + (time.monotonic() - started) * 1000)

    def to_json(self) -> dict[str, Any]:
        return {
            "operatorName": self.name,
            "numRowsTotal": self.total,
            "numRowsUpdated": self.updated,
            "allUpdatesTimeMs": round(self.updates_ms),
            "numRowsRemoved": self.removed,
            "allRemovalsTimeMs": round(self.removals_ms),
            "commitTimeMs": round(self.commit_ms),
            "memoryUsedBytes": self.memory_bytes,
            "numRowsDroppedByWatermark": self.dropped,
            "numShufflePartitions": SHUFFLE_PARTITIONS,
            "numStateStoreInstances": 1,
            "customMetrics": self.custom,
        }


class Operator(ABC):
    """A stateful operator of one query run: what it does with a batch, and the stores that do so durably.

    `stores`: all its state; they go from version to version together. `ends`: whether a watermark that moves takes
    something out of them, so that a batch without rows may be worth running. `late_inputs`: the inputs whose rows can
    be late. `apart`: how what it gives stands in for its node of the plan, where `restore_names` is not enough.
    """

    apart: Apart | None = None

    def __init__(self, *stores: StateStore, ends: bool, late_inputs: Sequence[int] = ()) -> None:
        self._stores = stores
        self._ends = ends
        self.late_inputs = late_inputs

    @abstractmethod
    def run(self, inputs: Sequence[pb.Relation], batch: BatchContext) -> tuple[pb.Relation, OperatorProgress]:
        """Take in a batch's rows, make state `batch.version` durable, give the rows that come out."""

    def output_watermark_us(self, input_us: int) -> int:
        """The watermark of what comes out, given that of what goes in."""
        return input_us

    def wants_batch(self, evict_us: int, last_us: int) -> bool:
        """Whether a batch without data is due when the watermark has gone from `last_us` to `evict_us`."""
        return self._ends and evict_us > last_us

    def restore(self, version: int) -> None:
        """Take up the state of `version`. Raises SparkError."""
        for store in self._stores:
            store.restore(version)

    def committed(self, version: int) -> None:
        """The batch that made `version` is done."""
        for store in self._stores:
            store.committed(version)

    def close(self) -> None:
        """The run is over."""
        for store in self._stores:
            store.close()

    def measure(self, progress: OperatorProgress) -> None:
        """Note what the stores take, in memory and on disk."""
        progress.memory_bytes = sum(store.resident_bytes for store in self._stores)
        progress.custom[SIZE_METRIC] = sum(store.bytes for store in self._stores)
        progress.custom[FILES_METRIC] = sum(store.files for store in self._stores)


@dataclass(frozen=True)
class OperatorTools:
    """What operators work with: the engine, and a spool that is cleared before each batch.

    `retain`: how many versions of state stay in the checkpoint. `pool`: what bounds the memory of their stores.
    """

    session: EngineSession
    spool: Spool
    retain: int = RETAIN
    pool: BlockPool = field(default_factory=BlockPool)

    def store(self, folder: Place, schema: pa.Schema, *, unique: bool) -> StateStore:
        """A store of this query."""
        return StateStore(folder, schema, unique=unique, retain=self.retain, pool=self.pool)

    def collect(self, relation: pb.Relation, time: BatchTime) -> pa.Table:
        """Run a relation at the time of a batch; its rows with the types that riacho uses throughout."""
        fill_times(relation, time)
        table = self.session.run(relation)
        return table.cast(types.normalise_schema(table.schema)).combine_chunks()

    def read(self, table: pa.Table) -> pb.Relation:
        """A relation that reads `table`."""
        return self.read_parts([table], table.schema)

    def stand_in(self, table: pa.Table, apart: Apart | None) -> pb.Relation:
        """A relation that reads `table`, which is taken apart if need be."""
        return self.read(table) if apart is None else apart.stand_in(table, self.read)

    def read_parts(self, parts: Iterable[pa.Table], schema: pa.Schema) -> pb.Relation:
        """A relation that reads all of `parts`, which are taken one by one: they need not fit in memory together."""
        relation, _ = self.spool.put((batch for part in parts for batch in part.to_batches()), schema)
        return relation

    def late(self, rows: pa.Table, times: Rows, behind: Mask, input_: int = 0) -> LateRows:
        """Those of an input's rows that are `behind`; `times` are theirs."""
        columns = [pa.array(times).cast(pa.timestamp("us", "UTC")), *rows.columns]
        table = pa.table(columns, names=[f"c{i}" for i in range(len(columns))])
        return LateRows(input_, self.read(table.filter(pa.array(behind))))


def event_times(column: pa.ChunkedArray | pa.Array) -> Rows:
    """Microseconds of an event-time column, for a window those of its end; `NEVER` for null."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, 1)
    micros: npt.NDArray[np.int64] = column.cast(pa.int64()).fill_null(int(NEVER)).to_numpy(zero_copy_only=False)
    return micros


def late(times: Rows, watermark_us: int) -> Mask:
    """Which rows are behind the watermark. Rows without event time never are."""
    return times <= watermark_us


def never(rows: int) -> Rows:
    """Times of rows that no watermark removes."""
    return np.full(rows, NEVER, dtype=np.int64)


def numbers(version: int, rows: int) -> Rows:
    """A number for each new row of the batch that makes `version`: no row of another batch has it."""
    return (version << _SEQ_BITS) + np.arange(rows, dtype=np.int64)
