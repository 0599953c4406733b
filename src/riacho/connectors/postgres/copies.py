"""Rows of a query as columns of texts: COPY, read by Arrow some megabytes at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pc

_BYTES: Final = 8 << 20


def copied(connection: Any, query: str, names: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of `query`, its columns named `names`, all strings, as PostgreSQL writes them. Raises as psycopg."""
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
        rows: list[bytes] = []
        size = 0
        for row in copy:
            rows.append(bytes(row))
            size += len(row)
            if size >= _BYTES:
                yield _columns(rows, names)
                rows, size = [], 0
        if rows:
            yield _columns(rows, names)


def _columns(rows: Sequence[bytes], names: Sequence[str]) -> pa.Table:
    """In CSV as PostgreSQL writes it a null is nothing at all, and an empty text is `""`."""
    if not names:
        return pa.table({"": pa.nulls(len(rows))}).select([])
    text = b"".join(rows)
    return (
        pc.read_csv(
            io.BytesIO(text),
            read_options=pc.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=list(map(str, range(len(names))))
            ),
            parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pc.ConvertOptions(
                column_types={str(number): pa.string() for number in range(len(names))},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                check_utf8=False,
            ),
        )
        .rename_columns(list(names))
        .combine_chunks()
    )
