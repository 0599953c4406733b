"""Columns of text as they are in memory."""

from __future__ import annotations

import pyarrow as pa


def content(text: pa.Array) -> bytes:
    """The bytes of all values of a STRING or BINARY column, one after the other."""
    if not len(text):
        return b""
    whole = text if text.offset == 0 else pa.concat_arrays([text])
    offsets = pa.Array.from_buffers(pa.int32(), len(whole) + 1, [None, whole.buffers()[1]])
    data = whole.buffers()[2]
    end: int = offsets[-1].as_py()
    return data.slice(0, end).to_pybytes() if data is not None else b""
