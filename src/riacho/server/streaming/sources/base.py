"""What a streaming source promises.

A `Source` is configuration: safe to build anywhere, it knows its schema and opens nothing. A `SourceReader` is the
running object of one query run: it owns files, logs and connections. An `Offset` is JSON text, kept in the
checkpoint's offset log exactly as the reader gave it (Spark: `org.apache.spark.sql.connector.read.streaming.Offset`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import pyarrow as pa

from riacho.clock import Clock
from riacho.ids import BatchId, Offset
from riacho.server.engine.base import EngineSession
from riacho.storage import Place
from riacho.types import TIMESTAMP

METADATA = "_metadata"
"""The hidden struct column of file-based sources; a reader adds it when it is opened `with_metadata`."""


METADATA_TYPE = pa.struct(
    [
        pa.field("file_path", pa.string(), nullable=False),
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("file_size", pa.int64(), nullable=False),
        pa.field("file_block_start", pa.int64(), nullable=False),
        pa.field("file_block_length", pa.int64(), nullable=False),
        pa.field("file_modification_time", TIMESTAMP, nullable=False),
    ]
)
"""What `_metadata` holds (Spark: `FileFormat.BASE_METADATA_STRUCT`)."""


@dataclass(frozen=True)
class SourceContext:
    """What a source may use when it opens.

    `log_dir`: `<checkpoint>/sources/<i>`, the reader's own private log (may not exist yet).
    `session`: the engine session of the query. `with_metadata`: the plan reads `_metadata`, so each batch must carry
    that column after the data columns. `unused`: columns whose values nobody will look at; a reader that saves work
    by it gives NULL in their place, and need not notice what is wrong with them. `zone`: the session's time zone.
    `check_stop` is to be called now and then by a source that waits for others; it raises when somebody asked the query
    to stop.
    """

    log_dir: Place
    session: EngineSession
    clock: Clock
    with_metadata: bool = False
    unused: frozenset[str] = frozenset()
    zone: str = "UTC"
    check_stop: Callable[[], None] = lambda: None
    query_id: str = ""
    wake: Callable[[], None] | None = None
    """Tells the query that there is something new; None for a query that does not wait for data. From any thread."""


@dataclass(frozen=True)
class ReadLimit:
    """How much one batch may take: `everything` (Spark: `ReadAllAvailable`), else what the source's options say."""

    everything: bool = False


@dataclass(frozen=True)
class SourceData:
    """The rows of one batch of one source.

    `batches` may be iterated once and is lazy, so that a large batch need not fit in memory; all have `schema`.
    `metrics`: extra numbers for the source's progress, for example files set aside.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    metrics: dict[str, str] = field(default_factory=dict)


class SourceReader(Protocol):
    """A running source. Called by one thread, the query's own; never blocks to wait for data."""

    description: str
    """As progress shows it, for example `FileStreamSource[file:/landing]`."""

    def prepare_available_now(self) -> None:
        """Called once before the first batch of an availableNow run: freeze the end; never report beyond it."""

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """The end of the next batch, or `start` (or None) if there is nothing new.

        Called once per trigger, before the batch is logged. Whatever `read` needs to give the same rows for this range
        again after a crash must be durable when this returns. Raises SparkError for what can no longer be read, and for
        a `start` that is not of this source.
        """

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        """The rows in (start, end], the same ones each time it is asked.

        Classic mistake: to look at what is there now instead of what stood there when `end` was chosen. Raises
        SparkError, at once or while the batches are read, for what is missing or damaged, and for an offset that is not
        of this source.
        """

    def commit(self, end: Offset) -> None:
        """The sink has all up to `end`, and it will not be asked for again. May be repeated or skipped.

        Raises SparkError for an offset that is not of this source.
        """

    def latest(self) -> Offset | None:
        """The newest offset known, for progress (`latestOffset`), or None."""

    def stop(self) -> None:
        """The run is over; close what is open. Called exactly once."""


@runtime_checkable
class TellsOthers(Protocol):
    """A reader that tells others how far the query is, if it also has this."""

    def committed(self, end: Offset) -> None:
        """The batch that ends there is in the checkpoint as done. May be skipped. Raises nothing."""


@runtime_checkable
class TellsNews(Protocol):
    """A reader that calls its context's `wake` when there is something new, if it also has this."""

    tells_news: bool
    """Whether it hears of nearly all news, so that it need be asked for the rest only now and then."""


@runtime_checkable
class KnowsBatch(Protocol):
    """A reader that wants to know which batch it is read for, if it also has this."""

    def begin(self, batch_id: BatchId) -> None:
        """The next `read` is for that batch. Raises nothing."""


class Source(Protocol):
    """The configuration of a streaming source, made from a streaming `Read` leaf."""

    @property
    def name(self) -> str:
        """Short name of the format, for example `delta`."""

    @property
    def schema(self) -> pa.Schema:
        """The data columns, all nullable, as `df.schema` shows them."""

    @property
    def has_metadata(self) -> bool:
        """Whether it can give `_metadata` and `input_file_name()`."""

    def open(self, context: SourceContext) -> SourceReader:
        """Start reading for one query run. Raises SparkError for what is missing or wrong."""


def batch_schema(source: Source, *, with_metadata: bool) -> pa.Schema:
    """The columns of a batch of `source`: its own, and the hidden `_metadata` behind them if the plan reads it."""
    if not with_metadata:
        return source.schema
    return source.schema.append(pa.field(METADATA, METADATA_TYPE, nullable=False))
