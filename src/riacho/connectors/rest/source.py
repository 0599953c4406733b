"""REST interfaces as a data source, in batches and as a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxFiles, SupportsTriggerAvailableNow
from pyspark.sql.types import StructField, StructType

from riacho.connectors.rest import json_path
from riacho.connectors.rest.client import RestClient
from riacho.connectors.rest.crawl import Crawl, CrawlProgress, Page
from riacho.connectors.rest.given import as_text
from riacho.connectors.rest.inference import schema_of
from riacho.connectors.rest.offsets import INITIAL, Offset, Store
from riacho.connectors.rest.reading import bad_records_of, of_options
from riacho.connectors.rest.records import RAW_SCHEMA, REQUEST_TYPE, RecordRows, needs_decimals
from riacho.connectors.rest.settings import RestSettings
from riacho.connectors.rest.sink import RestBatchWriter, RestStreamWriter, sink_settings
from riacho.errors import AnalysisError, UnsupportedOperationError


class RestDataSource(DataSource):
    """`format("rest")`. The options are read, and secrets taken from the environment, where readers are made."""

    @classmethod
    def name(cls) -> str:
        return "rest"

    def schema(self) -> StructType | str:
        """What the options say; else the columns of the first page that has records, which is fetched for it."""
        settings = of_options(self.options)
        if settings.raw or settings.schema is not None:
            ddl = RAW_SCHEMA if settings.raw else settings.schema or ""
            return ddl if settings.request_column is None else f"{ddl}, `{settings.request_column}` {REQUEST_TYPE}"
        return _inferred(settings)

    def reader(self, schema: StructType) -> RestReader:
        settings = of_options(self.options)
        return RestReader(settings, schema, self._rows(settings, schema))

    def streamReader(self, schema: StructType) -> RestStreamReader:  # noqa: N802 - Spark's name
        settings = of_options(self.options)
        return RestStreamReader(settings, schema, self._rows(settings, schema))

    def writer(self, schema: StructType, overwrite: bool) -> RestBatchWriter:
        if overwrite:
            raise UnsupportedOperationError("The rest sink sends rows: it cannot overwrite any. Use mode('append').")
        return RestBatchWriter(sink_settings(self.options, schema.names))

    def streamWriter(self, schema: StructType, overwrite: bool) -> RestStreamWriter:  # noqa: N802 - Spark's name
        if overwrite:
            raise UnsupportedOperationError("The rest sink sends new rows: use the output mode append.")
        return RestStreamWriter(sink_settings(self.options, schema.names))

    def parse_again(
        self, schema: StructType, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]
    ) -> pa.Table:
        """See `bad_records.Replayable`."""
        return RecordRows(schema, of_options(self.options), None).again(raws, fail)

    def _rows(self, settings: RestSettings, schema: StructType) -> RecordRows:
        return RecordRows(schema, settings, bad_records_of(self.options, settings, schema))


def _inferred(settings: RestSettings) -> StructType:
    client = RestClient(settings)
    try:
        pages = Crawl(settings, client, settings.bindings, decimals=False).pages(CrawlProgress())
        records = next((page.records for page in pages if page.records), [])
    finally:
        client.close()
    found = schema_of(records)
    if settings.request_column is None:
        return found
    if settings.request_column.lower() in (name.lower() for name in found.names):
        raise AnalysisError(
            f"The records have a field {settings.request_column} themselves: give requestColumn another name"
        )
    from pyspark.sql.types import LongType, MapType, StringType, TimestampType

    of_request = (
        StructType()
        .add("url", StringType())
        .add("page", LongType())
        .add("fetched_at", TimestampType())
        .add("values", MapType(StringType(), StringType()))
    )
    return StructType([*found.fields, StructField(settings.request_column, of_request)])


def records(**given: Any) -> Iterator[Any]:
    """The records of an interface, parsed, without Spark: for schedulers and scripts.

    Takes the options of the source: `records(config="api.yml")`, `records(url=…, **{"paging.size": 50})`.
    Raises IllegalArgumentError for options that are wrong, SparkGeneralError for what cannot be fetched.
    """
    settings = of_options({name: as_text(value) for name, value in given.items() if value is not None})
    client = RestClient(settings)
    try:
        crawl = Crawl(settings, client, settings.bindings, decimals=False)
        for page in crawl.pages(CrawlProgress(), abreast=settings.limits.concurrency):
            yield from page.records
    finally:
        client.close()


class RestReader(DataSourceReader):
    """Reads in a batch: `concurrency` partitions, each with its share of the requests and of the rate."""

    def __init__(self, settings: RestSettings, schema: StructType, rows: RecordRows) -> None:
        self._settings = settings
        self._schema = schema
        self._rows = rows
        self._enough: int | None = None

    def pushLimit(self, rows: int) -> None:  # noqa: N802 - riacho's call
        """Ask for no more pages than so many rows need."""
        self._enough = rows

    def partitions(self) -> Sequence[InputPartition]:
        bindings = self._settings.bindings
        count = min(self._settings.limits.concurrency, len(bindings)) or 1
        return [InputPartition((bindings[part::count], 1 / count)) for part in range(count)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        bindings, share = partition.value
        client = RestClient(self._settings, share=share)
        try:
            crawl = Crawl(self._settings, client, bindings, decimals=needs_decimals(self._schema, self._settings))
            count = 0
            for batch in self._rows.batches(crawl.pages(CrawlProgress())):
                yield batch
                count += batch.num_rows
                if self._enough is not None and count >= self._enough:
                    return
        finally:
            client.close()


class RestStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Looks every `pollInterval`, and goes through the pages of a look in batches of `pagesPerBatch`."""

    def __init__(self, settings: RestSettings, schema: StructType, rows: RecordRows) -> None:
        self._settings = settings
        self._schema = schema
        self._rows = rows
        cursor = None if settings.cursor is None else json_path.shown(settings.cursor.path)
        self._store = Store(settings.stream, decimals=needs_decimals(schema, settings), cursor=cursor)
        self._client: RestClient | None = None
        self._polled_ms = 0
        self._looks_left: int | None = None
        self._given: tuple[Offset, Offset] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Connections stay here."""
        return {**self.__dict__, "_client": None, "_given": None}

    def initialOffset(self) -> Offset:  # noqa: N802 - Spark's names, here and below
        return dict(INITIAL)

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        return ReadMaxFiles(self._settings.stream.pages)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """One look, after the end of one that was cut off."""
        self._looks_left = 1

    def latestOffset(self, start: Offset, limit: ReadLimit) -> Offset:  # noqa: N802
        """Fetch what the next batch is made of; `start` if there is nothing new, or it is too early to look."""
        if self._given is not None and self._given[0] == start:
            return self._given[1]
        self._given = None
        end = self._next(start, None if isinstance(limit, ReadAllAvailable) else self._settings.stream.pages)
        if end is not start:
            self._given = (start, end)
        return end

    def partitions(self, start: Offset, end: Offset) -> Sequence[InputPartition]:
        return [] if start == end else [InputPartition(end)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        yield from self._rows.batches(self._store.load(partition.value).pages)

    def commit(self, end: Offset) -> None:
        self._store.forget_before(end)

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()

    def _next(self, start: Offset, most: int | None) -> Offset:
        looking = start.get("looking", False)
        if not looking and not self._is_due(start):
            return start
        self._store.check_goes_on(start)
        progress = self._store.load(start).progress
        polled_ms = start["polled"] if looking else self._begin(progress)
        crawl = self._crawl()
        was_done = set(progress.done)
        taken: list[Page] = []
        finished = False
        abreast = self._settings.limits.concurrency
        count = size = 0
        # A batch ends after so many pages, or when what it has fills half an offset; but not before it has a record.
        while not finished and not (taken and (size >= self._store.enough_bytes or (most and count >= most))):
            left = abreast if not most or count >= most else min(abreast, most - count)
            pages = list(crawl.pages(progress, abreast=abreast, most=left))
            count += len(pages)
            some = [page for page in pages if page.records]
            size += self._store.size_of(some)
            taken += some
            finished = crawl.is_finished(progress)
        if not taken and (not self._settings.stream.once or progress.done == was_done):
            if looking:  # the rest of a look that gave nothing: it is over, and the next may begin
                return self._store.offset(start, polled_ms, taken, progress, looking=False)
            return start
        return self._store.offset(start, polled_ms, taken, progress, looking=not finished)

    def _is_due(self, start: Offset) -> bool:
        if self._looks_left is not None:
            self._looks_left -= 1
            return self._looks_left >= 0
        last_ms = max(self._polled_ms, start.get("polled", 0))
        return bool(_now_ms() >= last_ms + self._settings.stream.interval_s * 1000)

    def _begin(self, progress: CrawlProgress) -> int:
        """Begin a look: with `poll = once`, what was asked in earlier ones is not asked again."""
        progress.opened.clear()
        if not self._settings.stream.once:
            progress.done.clear()
        self._polled_ms = _now_ms()
        return self._polled_ms

    def _crawl(self) -> Crawl:
        if self._client is None:
            self._client = RestClient(self._settings)
        bindings = self._settings.bindings
        return Crawl(self._settings, self._client, bindings, decimals=needs_decimals(self._schema, self._settings))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
