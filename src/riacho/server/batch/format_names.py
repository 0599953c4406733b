"""The formats of batch reads and writes: the short name for a long one, and an error for one that nobody has."""

from __future__ import annotations

from typing import Final

from riacho.errors import SparkError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.batch.file_reads import FILE_FORMATS
from riacho.server.batch.own_reads import Lookup
from riacho.server.engine.base import OWN_READ, Surroundings
from riacho.server.plan.formats import STREAMS_ONLY, data_source_not_found, not_for_batches, short_name
from riacho.server.plan.walk import transform, walk

READABLE: Final = frozenset({"", "delta", "arrow", OWN_READ, *FILE_FORMATS})
"""What the engine reads, and what other steps make of a plan."""
WRITABLE: Final = frozenset({"", "delta", "json", "csv", "parquet", "text", "noop"})
"""What Delta's writer and the engine write."""


class FormatNames:
    """Looks at the formats of a plan's reads. `lookup` knows those that riacho reads itself."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def step(self, relation: pb.Relation, around: Surroundings) -> pb.Relation:
        """`relation` with short names; the same object if it has no others. Raises DATA_SOURCE_NOT_FOUND."""
        long = False
        for node in walk(relation):
            if node.HasField("read") and node.read.HasField("data_source") and not node.read.is_streaming:
                given = node.read.data_source.format
                short = short_name(given)
                long = long or short != given.lower()
                if short not in READABLE and self._lookup(given.lower(), around.session) is None:
                    raise _unreadable(given, short)
        return transform(relation, _shortened) if long else relation


def _shortened(node: pb.Relation) -> pb.Relation:
    if node.HasField("read") and node.read.HasField("data_source") and not node.read.is_streaming:
        source = node.read.data_source
        if (short := short_name(source.format)) != source.format.lower():
            source.format = short
    return node


def _unreadable(given: str, short: str) -> SparkError:
    return not_for_batches(given) if short in STREAMS_ONLY else data_source_not_found(given)


def check_write(operation: pb.WriteOperation) -> None:
    """Refuse a write that nobody does. Raises DATA_SOURCE_NOT_FOUND, UnsupportedOperationError."""
    given = operation.source
    short = short_name(given)
    if short in WRITABLE:
        return
    if short == "binaryfile":
        raise UnsupportedOperationError.of(
            "UNSUPPORTED_FEATURE.WRITE_FOR_BINARY_SOURCE",
            "The feature is not supported: Write for the binary file data source.",
            sql_state="0A000",
        )
    if short in STREAMS_ONLY:
        raise UnsupportedOperationError(f"Data source {given} does not support writing batches.")
    raise data_source_not_found(given)
