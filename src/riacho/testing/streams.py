"""A source and a sink in memory, for tests of streaming queries and of what is built from them.

Both outlive a run of a query, as files and tables do: give a second run the same ones and it goes on where the first
one stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from riacho.ids import BatchId, Offset
from riacho.server.streaming.sinks.base import OutputMode, PlainSink, SinkBatch, SinkContext
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData

Row = Mapping[str, Any]
"""A row as a dict of its columns."""
Call = Literal["open", "prepare_available_now", "latest_offset", "read", "commit", "stop"]


class ScriptedSource:
    """A source that gives the batches it was told to: each is a batch of the query, unless the trigger takes all.

    An offset is how many batches lie before it, as text. `calls` are the calls of all its readers, `commits` what it
    was told that the sink has. See `riacho.server.streaming.sources.base.Source`.
    """

    has_metadata = False

    def __init__(self, schema: pa.Schema, *batches: Iterable[Row], name: str = "scripted") -> None:
        self.name = name
        self.schema = schema
        self.calls: list[Call] = []
        self.commits: list[Offset] = []
        self._batches: list[pa.Table] = []
        self._failures: dict[Call, BaseException] = {}
        self._changing = threading.Lock()
        for rows in batches:
            self.add(*rows)

    def add(self, *rows: Row) -> None:
        """One more batch, also while a query runs."""
        with self._changing:
            self._batches.append(pa.Table.from_pylist([dict(row) for row in rows], self.schema))

    def fail(self, call: Call, error: BaseException) -> None:
        """Let the next call of that name raise `error`."""
        self._failures[call] = error

    def open(self, context: SourceContext) -> ScriptedReader:  # noqa: ARG002 - it needs nothing of a run
        self.called("open")
        return ScriptedReader(self)

    @property
    def end(self) -> int:
        """How many batches there are."""
        with self._changing:
            return len(self._batches)

    def between(self, start: int, end: int) -> list[pa.Table]:
        """The batches of a range."""
        with self._changing:
            return self._batches[start:end]

    def called(self, call: Call) -> None:
        """Note a call. Raises what `fail` said."""
        self.calls.append(call)
        error = self._failures.pop(call, None)
        if error is not None:
            raise error


class ScriptedReader:
    """A running `ScriptedSource`. See `riacho.server.streaming.sources.base.SourceReader`."""

    def __init__(self, source: ScriptedSource) -> None:
        self.description = f"ScriptedSource[{source.name}]"
        self._source = source
        self._frozen: int | None = None

    def prepare_available_now(self) -> None:
        self._source.called("prepare_available_now")
        self._frozen = self._source.end

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        self._source.called("latest_offset")
        last = self._source.end if self._frozen is None else self._frozen
        end = last if limit.everything else min(_number(start) + 1, last)
        return start if end <= _number(start) else Offset(str(end))

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        self._source.called("read")
        tables = self._source.between(_number(start), _number(end))
        return SourceData(self._source.schema, (batch for table in tables for batch in table.to_batches()))

    def commit(self, end: Offset) -> None:
        self._source.called("commit")
        self._source.commits.append(end)

    def latest(self) -> Offset | None:
        return Offset(str(self._source.end))

    def stop(self) -> None:
        self._source.called("stop")


def _number(offset: Offset | None) -> int:
    return 0 if offset is None else int(offset)


class ListSink(PlainSink):
    """A sink that keeps rows in a list. See `riacho.server.streaming.sinks.base.Sink`.

    `batches` are the rows of each batch that it took, by its number; `repetitions` the numbers of those it had already
    and did not take again. `runs` are the contexts of the runs that wrote to it. `in_parts`: whether it takes a large
    batch in parts.
    """

    name = "list"

    def __init__(self, *, in_parts: bool = False) -> None:
        self.in_parts = in_parts
        self.batches: dict[int, list[dict[str, Any]]] = {}
        self.repetitions: list[int] = []
        self.runs: list[SinkContext] = []
        self.stopped = 0
        self._failures: list[tuple[BaseException, bool]] = []

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What a reader sees: all rows, in the order of the batches; in complete mode those of the last batch."""
        if self.runs and self.runs[-1].output_mode is OutputMode.COMPLETE:
            return self.batches[max(self.batches)] if self.batches else []
        return [row for number in sorted(self.batches) for row in self.batches[number]]

    def values(self, column: str) -> list[Any]:
        """One column of `rows`."""
        return [row[column] for row in self.rows]

    def fail(self, error: BaseException, *, written: bool = False) -> None:
        """Let the next batch raise `error`: before any of it is written, or after all of it is."""
        self._failures.append((error, written))

    def open(self, context: SinkContext) -> ListWriter:
        self.runs.append(context)
        return ListWriter(self, context)

    def take(self, batch_id: BatchId, rows: Callable[[], list[dict[str, Any]]]) -> int | None:
        """What its writers do with a batch; `rows` runs it. Raises what `fail` was given."""
        error, written = self._failures.pop(0) if self._failures else (None, False)
        if error is not None and not written:
            raise error
        if batch_id in self.batches:
            self.repetitions.append(batch_id)
            return None
        self.batches[batch_id] = rows()
        if error is not None:
            raise error
        return len(self.batches[batch_id])


class ListWriter:
    """A running `ListSink`. See `riacho.server.streaming.sinks.base.SinkWriter`."""

    description = "ListSink"

    def __init__(self, sink: ListSink, context: SinkContext) -> None:
        self.takes_parts = sink.in_parts
        self._sink = sink
        self._context = context

    def add_batch(self, batch: SinkBatch) -> int | None:
        def rows() -> list[dict[str, Any]]:
            tables: Sequence[pa.Table] = [self._context.session.run(relation) for relation in batch.relations]
            return [row for table in tables for row in table.to_pylist()]

        return self._sink.take(batch.batch_id, rows)

    def stop(self) -> None:
        self._sink.stopped += 1
