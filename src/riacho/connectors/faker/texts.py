"""Texts made of bytes, a whole column at a time."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from riacho.connectors.faker import draws
from riacho.connectors.faker.draws import Numbers

_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_LETTERS: Final = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
_DASHES: Final = (8, 13, 18, 23)


def fixed(characters: np.ndarray) -> pa.Array:
    """Texts of one length: a matrix of ASCII codes, a row each."""
    count, width = characters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(characters, dtype=np.uint8)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))


def uuids(key: int, rows: Numbers) -> pa.Array:
    """UUIDs of version 4."""
    high, low = draws.bits(key, rows), draws.bits(draws.key_of(key, "low"), rows)
    raw = np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(len(rows), 16)
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    digits = np.empty((len(rows), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEX[raw >> 4], _HEX[raw & 15]
    text = np.full((len(rows), 36), ord("-"), np.uint8)
    places = [place for place in range(36) if place not in _DASHES]
    text[:, places] = digits
    return fixed(text)


def patterned(key: int, rows: Numbers, pattern: str) -> pa.Array:
    """`#` is a digit, `?` a letter, `^` a capital, `~` a hexadecimal digit; all else stands for itself (ASCII)."""
    text = np.empty((len(rows), len(pattern)), np.uint8)
    for place, sign in enumerate(pattern):
        own = draws.key_of(key, place)
        if sign == "#":
            text[:, place] = draws.below(own, rows, 10) + ord("0")
        elif sign in "?^":
            letters = _LETTERS[draws.below(own, rows, 26)]
            text[:, place] = letters - 32 if sign == "^" else letters
        elif sign == "~":
            text[:, place] = _HEX[draws.below(own, rows, 16)]
        else:
            text[:, place] = ord(sign)
    return fixed(text)
