"""Deletion vectors: which rows of a data file are gone.

A vector is a 64-bit roaring bitmap of row numbers, kept inline in the log as text or in a `.bin` file beside the data.
Sources: "Deletion Vectors" in Delta's PROTOCOL.md, the RoaringFormatSpec.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from riacho.errors import SparkGeneralError
from riacho.server.delta.actions import data_place
from riacho.storage import Place

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_Z85_VALUES = {character: value for value, character in enumerate(_Z85)}
_UUID_CHARACTERS = 20
_MAGIC = 1681511377
_COOKIE_WITHOUT_RUNS = 12346
_COOKIE_WITH_RUNS = 12347
_OFFSETS_FROM = 4  # a bitmap with runs has container offsets from so many containers on
_ARRAY_MAX = 4096
_BITMAP_BYTES = 8192

Rows = npt.NDArray[np.int64]


def deleted_rows(table: Place, vector: Mapping[str, Any]) -> Rows:
    """The row numbers that `vector`, a `deletionVector` of the log of `table`, takes out; ascending.

    Raises SparkGeneralError for a vector of a form that is not known, OSError.
    """
    kind, text = vector["storageType"], vector["pathOrInlineDv"]
    if kind == "i":
        return _treemap(_decode85(text)[: vector["sizeInBytes"]])
    if kind == "u":
        prefix, encoded = text[:-_UUID_CHARACTERS], text[-_UUID_CHARACTERS:]
        file = table / prefix / f"deletion_vector_{UUID(bytes=_decode85(encoded))}.bin"
    elif kind == "p":
        file = data_place(table, text)
    else:
        raise SparkGeneralError(f"Deletion vector of unknown storage type {kind!r} in the Delta table at {table}.")
    with file.open("rb") as content:
        content.seek(vector.get("offset") or 1)
        (size,) = struct.unpack(">i", content.read(4))
        return _treemap(content.read(size))


def _decode85(text: str) -> bytes:
    decoded = bytearray()
    for start in range(0, len(text), 5):
        value = 0
        for character in text[start : start + 5]:
            value = value * 85 + _Z85_VALUES[character]
        decoded += struct.pack(">I", value)
    return bytes(decoded)


def _treemap(data: bytes) -> Rows:
    """64-bit row numbers: a 32-bit bitmap for each value of the high half."""
    (magic,) = struct.unpack_from("<i", data, 0)
    if magic != _MAGIC:
        raise SparkGeneralError(f"A deletion vector must begin with {_MAGIC}, found {magic}.")
    (count,) = struct.unpack_from("<q", data, 4)
    position = 12
    parts: list[Rows] = []
    for _ in range(count):
        (high,) = struct.unpack_from("<I", data, position)
        low, position = _bitmap(data, position + 4)
        parts.append(low + (high << 32))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _bitmap(data: bytes, position: int) -> tuple[Rows, int]:
    """32-bit row numbers from a roaring bitmap at `position`, and the position behind it."""
    (cookie,) = struct.unpack_from("<I", data, position)
    position += 4
    if cookie & 0xFFFF == _COOKIE_WITH_RUNS:
        size = (cookie >> 16) + 1
        flags = data[position : position + (size + 7) // 8]
        position += len(flags)
        runs = [bool(flags[index // 8] >> (index % 8) & 1) for index in range(size)]
    elif cookie == _COOKIE_WITHOUT_RUNS:
        (size,) = struct.unpack_from("<I", data, position)
        position += 4
        runs = [False] * size
    else:
        raise SparkGeneralError(f"A roaring bitmap in a deletion vector has the unknown cookie {cookie}.")
    headers = np.frombuffer(data, "<u2", 2 * size, position).reshape(size, 2).astype(np.int64)
    position += 4 * size
    if cookie == _COOKIE_WITHOUT_RUNS or size >= _OFFSETS_FROM:
        position += 4 * size
    parts: list[Rows] = []
    for (key, cardinality), is_runs in zip(headers.tolist(), runs, strict=True):
        values, position = _container(data, position, cardinality + 1, is_runs)
        parts.append(values + (key << 16))
    return (np.concatenate(parts) if parts else np.empty(0, np.int64)), position


def _container(data: bytes, position: int, cardinality: int, is_runs: bool) -> tuple[Rows, int]:
    """The low 16 bits of the row numbers that share their high bits: runs, a sorted array or a bitmap."""
    if is_runs:
        (count,) = struct.unpack_from("<H", data, position)
        pairs = np.frombuffer(data, "<u2", 2 * count, position + 2).reshape(count, 2).astype(np.int64)
        ranges = [np.arange(start, start + length + 1) for start, length in pairs.tolist()]
        return np.concatenate(ranges), position + 2 + 4 * count
    if cardinality <= _ARRAY_MAX:
        return np.frombuffer(data, "<u2", cardinality, position).astype(np.int64), position + 2 * cardinality
    bits = np.unpackbits(np.frombuffer(data, np.uint8, _BITMAP_BYTES, position), bitorder="little")
    return np.flatnonzero(bits).astype(np.int64), position + _BITMAP_BYTES
