"""Records as rows, with the columns of the reader's schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DecimalType, StructType

from riacho.connectors.bad_records import BadRecords, Letters
from riacho.connectors.rest.crawl import Page
from riacho.connectors.rest.requests import key_of
from riacho.connectors.rest.settings import RestSettings
from riacho.connectors.values import as_json, column
from riacho.errors import AnalysisError

REQUEST_TYPE: Final = "STRUCT<url: STRING, page: BIGINT, fetched_at: TIMESTAMP, values: MAP<STRING, STRING>>"
RAW_SCHEMA: Final = "value STRING"
_OF_REQUEST: Final = ("url", "page", "fetched_at", "values")


class RecordRows:
    """Makes rows of records. Raises AnalysisError for a schema that it cannot fill."""

    def __init__(self, schema: StructType, settings: RestSettings, bad_records: BadRecords | None) -> None:
        self._settings = settings
        self._bad_records = bad_records
        self._arrow = to_arrow_schema(schema, timezone="UTC")
        self._decimals = needs_decimals(schema, settings)
        if settings.raw and "value" not in schema.names:
            raise AnalysisError("With raw = true the schema must have the column value, a STRING")
        if settings.request_column in schema.names:
            kind = self._arrow.field(settings.request_column).type
            if not pa.types.is_struct(kind) or any(field.name not in _OF_REQUEST for field in kind):
                raise AnalysisError(
                    f"The column {settings.request_column} tells of the request: it must be a {REQUEST_TYPE}, or have "
                    "some of its fields"
                )

    def batches(self, pages: Iterable[Page]) -> Iterator[pa.RecordBatch]:
        """The rows of pages, page by page. Raises SparkRuntimeError for a record that does not fit, if that fails."""
        assert self._bad_records is not None
        with self._bad_records.collecting() as letters:
            for page in pages:
                if page.records and (batch := self._batch(page, letters)).num_rows:
                    yield batch

    def again(self, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]) -> pa.Table:
        """The rows of records that were set aside; `fail` is told of those that still do not fit."""
        records: list[Any] = []
        places: list[int] = []
        kind = Decimal if self._decimals else float
        for index, raw in enumerate(raws):
            try:
                records.append(json.loads(raw, parse_float=kind))
                places.append(index)
            except ValueError as error:
                fail(index, error)
        batch, wrong = self._made(Page("", 1, 0, {}, records))
        for place, reason in wrong.items():
            fail(places[place], reason)
        kept = pa.array([place not in wrong for place in range(len(records))], pa.bool_())
        return pa.Table.from_batches([batch.filter(kept)], schema=self._arrow)

    def _batch(self, page: Page, letters: Letters) -> pa.RecordBatch:
        batch, wrong = self._made(page)
        if not wrong:
            return batch
        hide = self._settings.redactor.text
        for place, reason in sorted(wrong.items()):
            raw = hide(as_json(page.records[place])).encode()
            letters.add(raw, _position(page, place), hide(reason))
        return batch.filter(pa.array([place not in wrong for place in range(batch.num_rows)]))

    def _made(self, page: Page) -> tuple[pa.RecordBatch, dict[int, str]]:
        """All records as rows, and what is wrong with those that do not fit."""
        records = [record if isinstance(record, dict) else {"value": record} for record in page.records]
        wrong: dict[int, str] = {}
        for place, record in enumerate(records):
            for name in self._settings.required:
                if record.get(name) is None:
                    wrong[place] = f"field {name}: it is required, and missing or null"
        arrays = [self._column(field, page, records, wrong) for field in self._arrow]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._arrow)
        return batch, wrong

    def _column(self, field: pa.Field, page: Page, records: list[Any], wrong: dict[int, str]) -> pa.Array:
        if field.name == self._settings.request_column:
            return _of_request(page, len(records), field.type)
        if self._settings.raw and field.name == "value":
            return pa.array([as_json(record) for record in page.records], field.type)
        values = [record.get(field.name) for record in records]
        array, misfits = column(values, field.type, field.name, empty_as_null=self._settings.empty_as_null)
        for place, reason in misfits.items():
            wrong.setdefault(place, reason)
        return array


def _position(page: Page, place: int) -> str:
    """Where a record stands, the same whenever its page is read."""
    return f"{page.url} {key_of(page.values)} page {page.number} record {place + 1}".replace("  ", " ")


def needs_decimals(schema: StructType, settings: RestSettings) -> bool:
    """Whether numbers must keep all their digits."""
    return settings.raw or ("decimal" in schema.json() and any(True for _ in _decimals(schema)))


def _decimals(kind: Any) -> Iterator[DecimalType]:
    if isinstance(kind, DecimalType):
        yield kind
    for part in ("elementType", "keyType", "valueType"):
        if hasattr(kind, part):
            yield from _decimals(getattr(kind, part))
    for field in kind.fields if isinstance(kind, StructType) else ():
        yield from _decimals(field.dataType)


def _of_request(page: Page, count: int, kind: pa.StructType) -> pa.Array:
    told = {
        "url": page.url,
        "page": page.number,
        "fetched_at": page.at_us,
        "values": [(name, str(value)) for name, value in page.values.items()],
    }
    return pa.array([{field.name: told[field.name] for field in kind}] * count, kind)
