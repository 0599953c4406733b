"""A table, its quarantine, and replays of it on a real engine; they may be cut off at any commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from riacho.clock import SystemClock
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.catalog.base import Table, TableName
from riacho.server.catalog.reads import CatalogReads
from riacho.server.catalog.registry import SessionRegistry
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.log import DeltaLog
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.graph.replay.commits import ReplayTables
from riacho.server.graph.replay.run import FlowRules, ReplayCounts, TableReplay
from riacho.server.streaming.quality import Expectation, Violation

TARGET = TableName("spark_catalog", "default", "t")
QUARANTINE = TableName("spark_catalog", "default", "t_quarantine")
FLOW = "spark_catalog.default.t"
WHY = pa.struct(
    [
        ("id", pa.string()), ("rules", pa.list_(pa.string())), ("reason", pa.string()), ("flow", pa.string()),
        ("source", pa.string()), ("batch_id", pa.int64()), ("quarantined_at", pa.timestamp("us", "UTC")),
        ("replay", pa.int64()),
    ]
)  # fmt: skip
ROW = pa.schema([("id", pa.int64()), ("a", pa.int64()), ("b", pa.string())])
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


class CutOffError(BaseException):
    """The process ended here."""


@dataclass
class Cut:
    """Ends a replay: `commit` counts its commits, `behind`: when that one is made, else just before."""

    commit: int
    behind: bool
    _done: int = field(default=0, repr=False)

    @contextmanager
    def armed(self) -> Iterator[None]:
        put = DeltaLog.put
        made = False

        def watched(log: DeltaLog, version: int, content: bytes) -> bool:
            nonlocal made
            if self.behind and made:
                raise CutOffError  # whatever comes next: a process that is killed removes no files
            if self._done == self.commit and not self.behind:
                raise CutOffError
            done = put(log, version, content)
            made = made or (done and self._done == self.commit)
            self._done += done
            return done

        with mock.patch.object(DeltaLog, "put", watched):
            yield


class QuarantinedTable:
    """`t` with the columns `ROW`, and `t_quarantine`, in a warehouse of their own."""

    def __init__(self, folder: Path) -> None:
        self.catalog = WarehouseCatalog(folder)
        self._stack = ExitStack()
        self._engine = SailEngine(
            before_call=SessionRegistry(self.catalog).sync, steps=(CatalogReads(self.catalog).step,)
        )
        self._stack.callback(self._engine.stop)
        self.session = self._engine.session(SessionId(new_uuid()), "tests")

    def close(self) -> None:
        self._stack.close()

    def make(self, *, both: Mapping[str, str] | None = None, target: Mapping[str, str] | None = None) -> None:
        """Make both tables anew, empty, with these properties."""
        for name in (TARGET, QUARANTINE):
            self.catalog.drop_table(name, if_exists=True)
        self.catalog.create_table(TARGET, ROW, properties={**(both or {}), **(target or {})})
        quarantine = ROW.append(pa.field("_quarantine", WHY))
        self.catalog.create_table(QUARANTINE, quarantine, properties=both)

    def quarantine(self, rows: Sequence[Mapping[str, Any]], rules: Sequence[str] = ("r",), flow: str = FLOW) -> None:
        """Put rows there, in one commit, as a batch of the flow does."""
        why = [
            {
                "id": f"q-{row['id']}", "rules": list(rules), "reason": "before", "flow": flow, "source": "/landing/1",
                "batch_id": 3, "quarantined_at": AT, "replay": None,
            }
            for row in rows
        ]  # fmt: skip
        table = pa.Table.from_pylist(list(rows), ROW).append_column("_quarantine", pa.array(why, WHY))
        write_deltalake(str(self.table(QUARANTINE).location), table, mode="append")

    def replay(
        self, rules: Sequence[Expectation], *, only: Sequence[str] = (), dry: bool = False, schema: pa.Schema = ROW
    ) -> ReplayCounts:
        return self.replay_of([FlowRules(FLOW, schema, tuple(rules))], only=only, dry=dry)

    def replay_of(self, flows: Sequence[FlowRules], *, only: Sequence[str] = (), dry: bool = False) -> ReplayCounts:
        return TableReplay("t", self.tables(), flows, only, self.session).run(dry=dry)

    def tables(self) -> ReplayTables:
        return ReplayTables(self.table(QUARANTINE), self.table(TARGET), self.session, SystemClock())

    def rows(self, name: TableName) -> list[dict[str, Any]]:
        found = DeltaTable(str(self.table(name).location)).to_pyarrow_table().to_pylist()
        return sorted(found, key=lambda row: row["id"])

    def ids(self, name: TableName) -> list[int]:
        return [row["id"] for row in self.rows(name)]

    def versions(self, name: TableName) -> int:
        return DeltaTable(str(self.table(name).location)).version()

    def table(self, name: TableName) -> Table:
        table = self.catalog.table(name)
        assert table is not None
        return table


def rule(name: str, condition: str, on_violation: Violation = Violation.QUARANTINE) -> Expectation:
    expression = pb.Expression(expression_string=pb.Expression.ExpressionString(expression=condition))
    return Expectation(name, expression, on_violation, condition)
