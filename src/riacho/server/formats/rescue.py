"""The rescued-data column: what found no place in a row, as one JSON text per row.

The text is an object of the fields that no column took or that did not fit their column, as they stood in the source,
plus `_file_path`; NULL if nothing was lost. A record that is no record at all goes in under `_corrupt_record`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pyarrow as pa


class Rescued:
    """Collects the rescued-data column of rows that come from the file at `url`."""

    def __init__(self, url: str) -> None:
        self._file = f'"_file_path":{json.dumps(url, ensure_ascii=False)}'
        self._texts: list[str | None] = []

    def add(self, fields: Mapping[str, str], malformed: str | None = None) -> None:
        """One row that lost `fields` (JSON text by name), or that stands for a `malformed` record."""
        lost = dict(fields)
        if malformed is not None:
            lost["_corrupt_record"] = json.dumps(malformed, ensure_ascii=False)
        pairs = [f"{json.dumps(name, ensure_ascii=False)}:{text}" for name, text in lost.items()]
        self._texts.append(f"{{{','.join([*pairs, self._file])}}}" if pairs else None)

    def array(self) -> pa.Array:
        return pa.array(self._texts, pa.string())


def rescued_rows(lost: pa.RecordBatch, url: str) -> pa.Array:
    """The rescued-data column for columns that found no place: each row's values that are not NULL."""
    rescued = Rescued(url)
    if not lost.num_columns:
        return pa.nulls(lost.num_rows, pa.string())
    for row in lost.to_pylist():
        rescued.add({name: json_text(value) for name, value in row.items() if value is not None})
    return rescued.array()


def json_text(value: object) -> str:
    """A Python value as JSON: what JSON has no kind for becomes text, bytes become base64."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
