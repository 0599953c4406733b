"""IngestedEvents as rows: as they came, with Kafka's columns, or parsed by a schema.

Parsing is columnar where pyarrow's JSON reader reads the events as the schema says; what it refuses is looked at value
by value, so that the answer never depends on which of the two read it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from riacho.connectors.ingest import frames
from riacho.connectors.values import column
from riacho.errors import AnalysisError

RAW_SCHEMA: Final = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, timestampType INT"
)
HEADERS_SCHEMA: Final = "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
RAW: Final = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", frames.TIME),
        ("timestampType", pa.int32()),
        ("headers", frames.HEADERS),
    ]
)
"""The same as Arrow has it."""
APPENDED: Final = 1
"""Kafka's `timestampType` of a time that the log gave."""
TOLD: Final = ("_offset", "_timestamp", "_key", "_headers")
"""Columns of a given schema that are not in the events."""
CSV: Final = b"text/csv"
Fail = Callable[[int, str], None]
"""Told the index of an event that is no row, and why."""


class IngestedEvents:
    """Some events of a log that lie one after the other."""

    def __init__(self, first: int, events: pa.RecordBatch, groups: pa.RecordBatch) -> None:
        self.first = first
        self.events = events
        self.groups = groups
        self.group = frames.group_of_events(groups)

    def slice(self, start: int, end: int) -> IngestedEvents:
        """Those with offsets in [start, end)."""
        skipped = max(0, start - self.first)
        count = min(end, self.first + self.events.num_rows) - self.first - skipped
        part = IngestedEvents.__new__(IngestedEvents)
        part.first, part.groups = self.first + skipped, self.groups
        part.events, part.group = self.events.slice(skipped, count), self.group.slice(skipped, count)
        return part

    @property
    def offsets(self) -> pa.Array:
        return pa.array(np.arange(self.first, self.first + self.events.num_rows, dtype=np.int64))

    @property
    def times(self) -> pa.Array:
        return self.groups["time"].take(self.group)

    @property
    def headers(self) -> pa.Array:
        return self.groups["headers"].take(self.group)


def is_raw(schema: pa.Schema) -> bool:
    """Whether these are columns of events as they came."""
    kinds = {field.name: field.type for field in RAW}
    return "value" in schema.names and all(
        field.name in kinds
        and (field.type == kinds[field.name] or (field.name == "headers" and pa.types.is_list(field.type)))
        for field in schema
    )


def raw(events: IngestedEvents, schema: pa.Schema, endpoint: str) -> pa.RecordBatch:
    """The events with the columns of `RAW_SCHEMA` that `schema` has."""
    count = events.events.num_rows
    told = {
        "key": lambda: events.events["key"],
        "value": lambda: events.events["value"],
        "topic": lambda: pa.repeat(pa.scalar(endpoint), count),
        "partition": lambda: pa.repeat(pa.scalar(0, pa.int32()), count),
        "offset": lambda: events.offsets,
        "timestamp": lambda: events.times,
        "timestampType": lambda: pa.repeat(pa.scalar(APPENDED, pa.int32()), count),
        "headers": lambda: events.headers,
    }
    arrays = [told[field.name]().cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def check_schema(schema: pa.Schema) -> None:
    """Raises AnalysisError for a column that tells of an event and has another type than that."""
    kinds = {"_offset": pa.int64(), "_key": pa.binary(), "_headers": frames.HEADERS}
    for field in schema:
        wrong = (field.name == "_timestamp" and not pa.types.is_timestamp(field.type)) or (
            field.name in kinds and field.type != kinds[field.name] and field.name != "_headers"
        )
        if wrong:
            raise AnalysisError(
                f"The column {field.name} tells of the event itself: _offset is a BIGINT, _timestamp a TIMESTAMP, "
                "_key a BINARY, _headers an ARRAY<STRUCT<key: STRING, value: BINARY>>"
            )


def parsed(events: IngestedEvents, schema: pa.Schema, fail: Fail) -> pa.RecordBatch:
    """The events as rows of a schema; those that are none are told to `fail` and left out."""
    data = pa.schema([field for field in schema if field.name not in TOLD])
    values = events.events["value"]
    rows, kept = parse(values, data, fail, texts=_from_csv(events))
    arrays = dict(zip(data.names, rows, strict=True))
    told = {
        "_offset": lambda: events.offsets,
        "_timestamp": lambda: events.times,
        "_key": lambda: events.events["key"],
        "_headers": lambda: events.headers,
    }
    for name in TOLD:
        if name in schema.names:
            whole = told[name]()
            arrays[name] = (whole if kept is None else whole.take(kept)).cast(schema.field(name).type)
    count = len(values) if kept is None else len(kept)
    if not len(schema):
        return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def parse(
    values: pa.Array, schema: pa.Schema, fail: Fail, *, texts: pa.Array | None = None
) -> tuple[list[pa.Array], pa.Array | None]:
    """JSON objects as columns, and the indices of those that are rows, None for all.

    `texts`: which of them (a mask) have text in the place of numbers and times, as a CSV file has it.
    """
    if not len(values):
        return [pa.array([], field.type) for field in schema], None
    if texts is None and (fast := _fast(values, schema)) is not None:
        return fast, None
    return _slow(values, schema, fail, texts)


def _fast(values: pa.Array, schema: pa.Schema) -> list[pa.Array] | None:
    """All at once; None if that is not how the schema's types are read, or if anything is wrong."""
    plain = pa.schema([pa.field(field.name, _as_text(field.type)) for field in schema])
    if not len(schema) or not all(_plain(field.type) for field in plain):
        return None
    if values.null_count or not pc.all(pc.starts_with(values, b"{")).as_py():
        return None
    # Each of them begins an object, so if there are as many objects as values, each value is one.
    data = b"\n".join(values.to_pylist())
    try:
        table = pj.read_json(
            io.BytesIO(data),
            read_options=pj.ReadOptions(block_size=max(1 << 20, len(data) + 1), use_threads=False),
            parse_options=pj.ParseOptions(explicit_schema=plain, unexpected_field_behavior="ignore"),
        )
        if table.num_rows != len(values):
            return None
        arrays = [table[field.name].combine_chunks() for field in schema]
        for array, field in zip(arrays, schema, strict=True):
            array.validate(full=True)  # text that is not UTF-8
            if _has_nan(array) or (array.null_count and not field.nullable):
                return None
        return [
            array if array.type == field.type else array.cast(field.type)
            for array, field in zip(arrays, schema, strict=True)
        ]
    except pa.ArrowException:
        return None


def _has_nan(array: pa.Array) -> bool:
    """Whether there is a NaN or an infinity in it, for which JSON has no word and pyarrow's reader has."""
    if pa.types.is_list(array.type):
        return _has_nan(array.flatten())
    return pa.types.is_floating(array.type) and not pc.all(pc.is_finite(array.drop_null())).as_py()


def _as_text(kind: pa.DataType) -> pa.DataType:
    """What is read as text first, and then cast as the other way casts it."""
    return pa.string() if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else kind


def _plain(kind: pa.DataType) -> bool:
    """Whether pyarrow reads a value of that type as we do, or refuses it."""
    if pa.types.is_list(kind):
        return _plain(kind.value_type) and not pa.types.is_timestamp(kind.value_type)
    return (
        pa.types.is_string(kind)
        or pa.types.is_boolean(kind)
        or kind in (pa.int32(), pa.int64(), pa.float64())  # narrower ones overflow in silence
    )


def _slow(
    values: pa.Array, schema: pa.Schema, fail: Fail, texts: pa.Array | None
) -> tuple[list[pa.Array], pa.Array | None]:
    documents: list[dict[str, Any]] = []
    wrong: dict[int, str] = {}
    decimals = any("decimal" in str(field.type) for field in schema)
    for place, value in enumerate(values.to_pylist()):
        document, reason = _document(value, decimals=decimals)
        documents.append(document)
        if reason:
            wrong[place] = reason
    loose = None if texts is None else texts.to_pylist()
    arrays = []
    for field in schema:
        given: list[Any] = [document.get(field.name) for document in documents]
        if loose is not None:
            given = [_from_text(each, field.type) if loose[i] else each for i, each in enumerate(given)]
        array, misfits = column(given, field.type, field.name, empty_as_null=False)
        for place, reason in misfits.items():
            wrong.setdefault(place, reason)
        if not field.nullable:
            for place, each in enumerate(given):
                if each is None:
                    wrong.setdefault(place, f"field {field.name}: it is NOT NULL, and missing or null")
        arrays.append(array)
    if not wrong:
        return arrays, None
    for place in sorted(wrong):
        fail(place, wrong[place])
    kept = pa.array([place for place in range(len(documents)) if place not in wrong], pa.int64())
    return [array.take(kept) for array in arrays], kept


def _document(value: bytes | None, *, decimals: bool) -> tuple[dict[str, Any], str]:
    try:
        # Bytes would be guessed to be in UTF-16 now and then.
        text = (value or b"").decode("utf-8")
        document = json.loads(text, parse_constant=_no_number, parse_float=Decimal if decimals else None)
    except (ValueError, RecursionError) as error:
        return {}, f"it is not JSON: {error}"
    if not isinstance(document, dict):
        return {}, f"it is not a JSON object but {type(document).__name__}"
    return document, ""


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def _from_text(value: Any, kind: pa.DataType) -> Any:
    """A text of a CSV file as JSON would have it."""
    if not isinstance(value, str) or pa.types.is_string(kind):
        return value
    if value == "":
        return None
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}.get(value.lower(), value)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        try:
            return int(value) if pa.types.is_integer(kind) else float(value)
        except ValueError:
            return value
    return value


def _from_csv(events: IngestedEvents) -> pa.Array | None:
    """Which of the events came as lines of CSV; None if none did."""
    of_groups = [
        any(header["key"] == "content-type" and header["value"].startswith(CSV) for header in headers or ())
        for headers in _headers(events.groups)
    ]
    return pa.array(of_groups).take(events.group) if any(of_groups) else None


def _headers(groups: pa.RecordBatch) -> Sequence[Any]:
    found: Sequence[Any] = groups["headers"].to_pylist()
    return found
