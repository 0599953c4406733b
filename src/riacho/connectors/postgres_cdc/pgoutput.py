"""Messages of PostgreSQL's plugin `pgoutput`, protocol version 1, many at a time.

The messages lie one after the other in one buffer. What is in them is found by arithmetic on arrays of positions: one
step for a column of all rows, none for a row. Source: "Logical Replication Message Formats" in PostgreSQL's manual.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BEGIN: Final = ord("B")
RELATION: Final = ord("R")
INSERT: Final = ord("I")
UPDATE: Final = ord("U")
DELETE: Final = ord("D")
TRUNCATE: Final = ord("T")
KEY: Final = ord("K")
OLD: Final = ord("O")
_TEXT: Final = ord("t")
_UNCHANGED: Final = ord("u")
_PAD: Final = bytes(16)
"""Behind the last message, so that looking for a length behind a null never leaves the buffer."""
EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts, in microseconds since 1970."""


class LogMessages:
    """Messages one after the other."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.data = b"".join((*messages, _PAD))
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self.data, np.uint8)
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        self.starts: Positions = np.cumsum(lengths) - lengths
        self.kinds: npt.NDArray[np.uint8] = self.bytes[self.starts] if len(messages) else np.zeros(0, np.uint8)

    def uint(self, at: Positions, size: int) -> Positions:
        """Big-endian numbers of `size` bytes; of 8, as signed ones."""
        found = np.zeros(len(at), np.int64)
        for byte in range(size):
            found = (found << 8) | self.bytes[at + byte]
        return found

    def strings(self, at: Positions, lengths: Positions, there: Mask) -> pa.Array:
        """The texts at these places; null where `there` is not."""
        lengths = np.where(there, lengths, 0)
        offsets = np.zeros(len(at) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        picked = np.arange(offsets[-1]) + np.repeat(at - offsets[:-1], lengths)
        validity = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
        buffers = [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(self.bytes[picked])]
        return pa.Array.from_buffers(pa.string(), len(at), buffers)


@dataclass(frozen=True)
class TupleColumn:
    """One column of many rows. `unchanged`: its large values that an update did not touch; the log lacks them."""

    at: Positions
    lengths: Positions
    there: Mask
    unchanged: Mask


@dataclass(frozen=True)
class RowTuples:
    """The columns of rows at given places. `ends`: where the rows end."""

    fields: Sequence[TupleColumn]
    ends: Positions

    @classmethod
    def at(cls, buffer: LogMessages, starts: Positions, width: int) -> RowTuples:
        """Rows of `width` columns that begin, with their number of columns, at `starts`."""
        fields = []
        at = starts + 2
        for _ in range(width):
            kinds = buffer.bytes[at]
            there = kinds == _TEXT
            lengths = np.where(there, buffer.uint(at + 1, 4), 0)
            fields.append(TupleColumn(at + 5, lengths, there, kinds == _UNCHANGED))
            at = at + 1 + np.where(there, lengths + 4, 0)
        return cls(fields, at)


@dataclass(frozen=True)
class LoggedTable:
    """What a message says of a table, as it was when the changes that follow were made."""

    id: int
    schema: str
    name: str
    identity: str
    columns: tuple[str, ...]
    key: tuple[bool, ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @classmethod
    def read(cls, message: bytes) -> LoggedTable:
        (oid,) = struct.unpack_from(">I", message, 1)
        schema, at = _name(message, 5)
        name, at = _name(message, at)
        identity, count = struct.unpack_from(">cH", message, at)
        at += 3
        columns, key = [], []
        for _ in range(count):
            flags = message[at]
            column, at = _name(message, at + 1)
            at += 8
            columns.append(column)
            key.append(bool(flags & 1))
        return cls(oid, schema or "pg_catalog", name, identity.decode(), tuple(columns), tuple(key))


def truncated(message: bytes) -> Sequence[int]:
    """The ids of the tables that a message says were emptied."""
    (count,) = struct.unpack_from(">I", message, 1)
    found: Any = struct.unpack_from(f">{count}I", message, 6)
    return list(found)


def _name(message: bytes, at: int) -> tuple[str, int]:
    end = message.index(0, at)
    return message[at:end].decode(), end + 1
