"""limit(n) on a stream in append mode: the first n rows of all batches together.

State is one number, how many rows came out so far. The query goes on when they are n, and gives nothing more. Source:
`StreamingGlobalLimitExec`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from riacho.protos import pb
from riacho.server.state.hashing import hash_keys
from riacho.server.state.store import BEGINNING, Changes
from riacho.server.streaming.operators.operator import BatchContext, Operator, OperatorProgress, OperatorTools, never
from riacho.storage import Place

_SCHEMA = pa.schema([("rows", pa.int64())])


class Limit(Operator):
    """See the module and `operator.Operator`."""

    def __init__(self, rows: int, folder: Place, tools: OperatorTools) -> None:
        self._rows = rows
        self._tools = tools
        self._store = tools.store(folder / "default", _SCHEMA, unique=True)
        super().__init__(self._store, ends=False)

    def run(self, inputs: Sequence[pb.Relation], batch: BatchContext) -> tuple[pb.Relation, OperatorProgress]:
        progress = OperatorProgress("globalLimit")
        before = sum(sum(part.column("rows").to_pylist()) for part in self._store.alive())
        with progress.timed("updates_ms"):
            first = pb.Relation(limit=pb.Limit(input=inputs[0], limit=self._rows - before))
            out = self._tools.collect(first, batch.time)
        progress.updated = int(out.num_rows > 0)
        with progress.timed("commit_ms"):
            table = pa.table({"rows": [before + out.num_rows]}, schema=_SCHEMA)
            changes = Changes(hash_keys([], 1), np.zeros(1, dtype=np.int64), never(1), table)
            self._store.write(batch.version, changes, rows=1, floor=BEGINNING)
        progress.total = 1
        return self._tools.stand_in(out, self.apart), progress
