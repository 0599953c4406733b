"""Runs a case on riacho's stateful execution with a real engine: no server, but its own plan, state and watermarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.session import SparkSession

from riacho import types
from riacho.clock import iso_utc
from riacho.ids import BatchId, SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.plan.context import Context
from riacho.server.plan.facts import leaves
from riacho.server.plan.rewrite import RESOLVE, rewrite
from riacho.server.streaming.execution import BatchInput
from riacho.server.streaming.operators.compiler import Compiler
from riacho.server.streaming.operators.execution import StatefulExecution
from riacho.server.streaming.operators.operator import OperatorTools
from riacho.server.streaming.sinks.base import OutputMode
from riacho.server.streaming.watermark import WatermarkPolicy, WatermarkTracker
from tests.differential.answers import build, operator_numbers, table_rows
from tests.differential.cases import Case


class RiachoSide:
    """An engine, and a client that builds plans."""

    def __init__(self) -> None:
        self._engine = SailEngine()
        self._session = self._engine.session(SessionId(new_uuid()), "differential")
        self._client = SparkSession.builder.remote(f"sc://{self._engine.current().address}").create()

    def close(self) -> None:
        self._client.stop()
        self._engine.stop()

    def run(self, case: Case, folder: Path, survive: type[BaseException] | tuple[()] = ()) -> dict[str, Any]:
        """All batches of a case. A batch that ends in `survive` is run again by a new execution, as after a crash."""
        return {"batches": _Run(case, folder, self._plan(case), self._engine, self._session, survive).batches()}

    def _plan(self, case: Case) -> pb.Relation:
        streams = [
            self._client.readStream.schema(case.ddl).parquet(f"/in{index}") for index in range(len(case.streams))
        ]
        frame = build(case.query, streams, F)
        return rewrite(frame._plan.to_proto(self._client._client).root, Context(), RESOLVE)


class _Run:
    """The loop of a query, as far as state and watermarks depend on it."""

    def __init__(
        self,
        case: Case,
        folder: Path,
        plan: pb.Relation,
        engine: SailEngine,
        session: Any,
        survive: type[BaseException] | tuple[()],
    ) -> None:
        self._survive = survive
        self._case, self._folder, self._plan = case, folder, plan
        self._engine, self._session = engine, session
        self._streams = [int(leaf.relation.read.data_source.paths[0].removeprefix("/in")) for leaf in leaves(plan)]
        self._schema = types.nullable(case.schema)
        self._spool = engine.spool("differential")
        self._next = BatchId(0)
        self._late_ms = self._watermark_ms = 0

    def batches(self) -> list[dict[str, Any]]:
        try:
            return [batch for phase in self._case.phases() for batch in self._phase(phase)]
        finally:
            self._spool.close()

    def _phase(self, phase: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        execution = self._start()
        policy = WatermarkPolicy.of(self._case.conf)
        tracker = WatermarkTracker(execution.watermark_delays_ms, policy, self._watermark_ms)
        found: list[dict[str, Any]] = []
        longest = max(len(files) for files in phase)
        try:
            while len(found) < longest or (found and execution.wants_no_data_batch(tracker.value_ms)):
                names = [files[len(found)] if len(found) < len(files) else None for files in phase]
                try:
                    self._batch(execution, tracker, names, found)
                except self._survive:
                    execution.close()
                    execution = self._start()
        finally:
            execution.close()
        self._watermark_ms = tracker.value_ms
        return found

    def _start(self) -> StatefulExecution:
        tools = OperatorTools(self._session, self._engine.spool("state"))
        mode = OutputMode(self._case.mode)
        compiled = Compiler(self._plan, [self._schema for _ in self._streams], mode, self._folder / "riacho", tools)
        execution = StatefulExecution(compiled, tools)
        execution.restore(self._next)
        return execution

    def _batch(
        self,
        execution: StatefulExecution,
        tracker: WatermarkTracker,
        names: Sequence[str | None],
        found: list[dict[str, Any]],
    ) -> None:
        """Run one batch and add it to `found`, which is its commit."""
        self._spool.clear()
        tables = [self._schema.empty_table() if name is None else self._read(name) for name in names]
        relations = [self._spool.put(tables[index].to_batches(), self._schema)[0] for index in self._streams]
        evict_ms = tracker.value_ms
        output = execution.run(BatchInput(self._next, [relations], self._late_ms, evict_ms, 0))
        rows = table_rows(self._session.run(output.relation))
        tracker.advance(output.event_times)
        number, self._next, self._late_ms = self._next, BatchId(self._next + 1), evict_ms
        found.append(
            {
                "batch": number,
                "rows": rows,
                "watermark": iso_utc(evict_ms) if execution.watermark_delays_ms else None,
                "state": operator_numbers(list(output.state)),
            }
        )
        execution.committed(number)

    def _read(self, name: str) -> pa.Table:
        return pq.read_table(self._folder / "batches" / name).cast(self._schema)
