"""Batch writes in formats that riacho writes itself: `df.write.format(…)` to anything but tables and Delta.

A writer is one function and one line in `WRITERS`. What is not listed there is a table's, Delta's or the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from riacho.protos import pb
from riacho.server.batch import python_writes
from riacho.server.batch.kafka import kafka_write
from riacho.server.batch.write_context import WriteContext
from riacho.server.files.path_writes import no_binary, write_path
from riacho.server.formats.write.files import FORMATS
from riacho.server.workers.sources import registered

Writer = Callable[[WriteContext, pb.WriteOperation], None]
"""Does one `df.write…save()`; when it returns, the rows are there. Raises SparkError; then nothing of them is seen.

The operation's relations are ones that the engine knows; its `source` is as the user spelled it.
"""


def write(context: WriteContext, operation: pb.WriteOperation) -> bool:
    """Do a write if its format is one of riacho's own; False, and nothing done, if it is not. Raises SparkError."""
    if not operation.source or (operation.WhichOneof("save_type") == "table" and operation.source.lower() != "kafka"):
        return False
    writer = WRITERS.get(operation.source.lower())
    if writer is not None:
        writer(context, operation)
        return True
    found = registered.find(operation.source, context.session)
    if found is None:
        return False
    python_writes.write(context.session, operation, found)
    return True


def _files(context: WriteContext, operation: pb.WriteOperation) -> None:
    write_path(context.session, operation)


def _binary(_: WriteContext, __: pb.WriteOperation) -> None:
    raise no_binary()


WRITERS: Final[Mapping[str, Writer]] = {
    **dict.fromkeys(sorted(FORMATS), _files),
    "binaryfile": _binary,
    "kafka": kafka_write,
}
"""The formats of `DataFrameWriter.format` that riacho writes itself, by lower-case name."""
