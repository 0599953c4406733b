"""Rows with a value that its Spark type cannot hold: found one by one, and told as the options want it.

A dead letter is the row's texts as JSON, so that it can be read again under another schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from riacho.connectors.bad_records import BadRecords
from riacho.errors import SparkError


def salvaged(
    count: int,
    make: Callable[[int, int], pa.RecordBatch],
    bad_records: BadRecords,
    letter: Callable[[int], tuple[Mapping[str, Any], str]],
) -> Iterator[pa.RecordBatch]:
    """What `make(first, end)` makes of `count` rows, without the bad ones. `letter` tells a row's values and position.

    Raises what `make` raises where bad data fails the query. A bad row is looked for by halves.
    """
    try:
        yield make(0, count)
        return
    except SparkError:
        if bad_records.mode == "fail" or not count:
            raise
    with bad_records.collecting() as letters:
        waiting = [(0, count)]
        while waiting:
            first, end = waiting.pop()
            try:
                yield make(first, end)
            except SparkError as error:
                if end - first > 1:
                    middle = (first + end) // 2
                    waiting += [(middle, end), (first, middle)]
                    continue
                values, position = letter(first)
                letters.add(json.dumps(values, ensure_ascii=False).encode(), position, error)


def texts_at(texts: Mapping[str, pa.Array], row: int) -> dict[str, Any]:
    """The values of one row."""
    return {name: column[row].as_py() for name, column in texts.items()}


def sliced(texts: Mapping[str, pa.Array], first: int, end: int) -> dict[str, pa.Array]:
    return {name: column.slice(first, end - first) for name, column in texts.items()}


def read_again(
    schema: pa.Schema,
    raws: Sequence[bytes],
    fail: Callable[[int, BaseException | str], None],
    make: Callable[[Mapping[str, Any]], pa.RecordBatch],
) -> pa.Table:
    """The rows of dead letters; see `bad_records.Replayable`."""
    found = []
    for index, raw in enumerate(raws):
        try:
            found.append(make(json.loads(raw)))
        except (SparkError, ValueError, KeyError, TypeError) as error:
            fail(index, error)
    return pa.Table.from_batches(found, schema=schema)
