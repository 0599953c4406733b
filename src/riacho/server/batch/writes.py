"""Batch writes in formats that riacho writes itself: `df.write.format(…)` to anything but tables and Delta.

A writer is one function and one line in `WRITERS`. What is not listed there is a table's, Delta's or the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from riacho.clock import Clock
from riacho.ids import SessionId
from riacho.protos import pb
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.engine.base import EngineSession


@dataclass(frozen=True)
class WriteContext:
    """What a batch write works with: the client's session and the parts of the server.

    `owner` is the client's session; `connect_url` is where workers of the user's functions reach the server, as the
    client's user. `database`: the session's current one.
    """

    session: EngineSession
    catalog: WarehouseCatalog
    clock: Clock
    owner: SessionId
    connect_url: str
    database: str


Writer = Callable[[WriteContext, pb.WriteOperation], None]
"""Does one `df.write…save()`; when it returns, the rows are there. Raises SparkError; then nothing of them is seen.

The operation's relations are ones that the engine knows; its `source` is as the user spelled it.
"""


def write(context: WriteContext, operation: pb.WriteOperation) -> bool:
    """Do a write if its format is one of riacho's own; False, and nothing done, if it is not. Raises SparkError."""
    if operation.WhichOneof("save_type") == "table" or not operation.source:
        return False
    writer = WRITERS.get(operation.source.lower())
    if writer is None:
        return False
    writer(context, operation)
    return True


WRITERS: Final[Mapping[str, Writer]] = {}
"""The formats of `DataFrameWriter.format` that riacho writes itself, by lower-case name."""
