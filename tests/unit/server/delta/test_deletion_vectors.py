"""Deletion vectors, made here by the format's rules."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import SparkGeneralError
from riacho.server.delta.deletion_vectors import deleted_rows

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def bitmap32(values: Sequence[int], *, runs: bool) -> bytes:
    """A 32-bit roaring bitmap, its containers arrays and bitmaps, or runs."""
    containers: dict[int, list[int]] = {}
    for value in values:
        containers.setdefault(value >> 16, []).append(value & 0xFFFF)
    headers = b"".join(struct.pack("<HH", key, len(low) - 1) for key, low in containers.items())
    bodies = [_runs(low) if runs else _plain(low) for low in containers.values()]
    offsets, position = b"", 0
    for body in bodies:
        offsets += struct.pack("<I", position)
        position += len(body)
    size = len(containers)
    if runs:
        flags = bytearray((size + 7) // 8)
        for index in range(size):
            flags[index // 8] |= 1 << index % 8
        head = struct.pack("<I", 12347 | (size - 1) << 16) + bytes(flags)
        return head + headers + (offsets if size >= 4 else b"") + b"".join(bodies)
    return struct.pack("<II", 12346, size) + headers + offsets + b"".join(bodies)


def _plain(low: list[int]) -> bytes:
    if len(low) <= 4096:
        return np.array(low, "<u2").tobytes()
    bits = np.zeros(65536, np.uint8)
    bits[low] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def _runs(low: list[int]) -> bytes:
    found: list[list[int]] = []
    for value in low:
        if found and found[-1][0] + found[-1][1] + 1 == value:
            found[-1][1] += 1
        else:
            found.append([value, 0])
    return struct.pack("<H", len(found)) + np.array(found, "<u2").tobytes()


def treemap(values: Sequence[int], *, runs: bool = False) -> bytes:
    highs: dict[int, list[int]] = {}
    for value in sorted(values):
        highs.setdefault(value >> 32, []).append(value & 0xFFFFFFFF)
    body = b"".join(struct.pack("<I", high) + bitmap32(low, runs=runs) for high, low in highs.items())
    return struct.pack("<iq", 1681511377, len(highs)) + body


def inline(data: bytes) -> dict[str, object]:
    padded = data + b"\0" * (-len(data) % 4)
    text = ""
    for (value,) in struct.iter_unpack(">I", padded):
        digits = []
        rest = value
        for _ in range(5):
            rest, digit = divmod(rest, 85)
            digits.append(ALPHABET[digit])
        text += "".join(reversed(digits))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(data), "cardinality": 0}


@given(st.sets(st.one_of(st.integers(0, 300_000), st.integers(0, 2**34))), st.booleans())
def test_any_set_of_rows(values: set[int], runs: bool) -> None:
    assert deleted_rows(Path(), inline(treemap(sorted(values), runs=runs))).tolist() == sorted(values)


@pytest.mark.parametrize("runs", [False, True])
def test_a_full_container(runs: bool) -> None:
    values = list(range(70_000))
    assert deleted_rows(Path(), inline(treemap(values, runs=runs))).tolist() == values


def test_in_a_file(tmp_path: Path) -> None:
    data = treemap([1, 5])
    (tmp_path / "dv.bin").write_bytes(b"\x01" + struct.pack(">i", len(data)) + data + b"\0\0\0\0")
    vector = {"storageType": "p", "pathOrInlineDv": str(tmp_path / "dv.bin"), "offset": 1, "sizeInBytes": len(data)}
    assert deleted_rows(tmp_path, vector).tolist() == [1, 5]


@pytest.mark.parametrize(
    "vector",
    [{"storageType": "x", "pathOrInlineDv": ""}, inline(b"\0" * 12), inline(struct.pack("<iqII", 1681511377, 1, 0, 7))],
)
def test_forms_that_are_not_known(vector: dict[str, object]) -> None:
    with pytest.raises(SparkGeneralError):
        deleted_rows(Path(), vector)
