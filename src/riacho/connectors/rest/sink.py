"""Rows sent to an HTTP interface, from batches and streams.

A request that failed for a passing reason is sent again, and a batch that was cut off is, too: with the same key in a
header, by which interfaces that know it do the work only once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamArrowWriter, WriterCommitMessage

from riacho.connectors.rest.client import RestClient
from riacho.connectors.rest.given import checked
from riacho.connectors.rest.options import OPTIONS, SHARED, SINK
from riacho.connectors.rest.reading import of_checked
from riacho.connectors.rest.requests import Ask
from riacho.connectors.rest.settings import RestSettings
from riacho.connectors.values import as_json
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Options

_TYPES: Final = {"lines": "application/x-ndjson"}


@dataclass(frozen=True)
class SinkSettings:
    """What the options say."""

    settings: RestSettings
    method: str
    rows: int
    body: str
    header: str
    column: str | None


def sink_settings(given: Mapping[str, str], columns: list[str]) -> SinkSettings:
    """Raises IllegalArgumentError for options that are wrong, AnalysisError for a column that is not there."""
    options = checked(given, "rest sink", SINK)
    body, rows = options.text("body"), options.positive("rowsPerRequest")
    assert rows is not None
    column = options.maybe("idempotencyColumn")
    if body == "row":
        rows = 1
    if column is not None and body != "row":
        raise options.illegal("idempotencyColumn", column, "must not be given unless body = row: a request has one key")
    if column is not None and column not in columns:
        raise AnalysisError(f"There is no column {column!r} for idempotencyColumn; there are {', '.join(columns)}")
    shared = {option.name: options.text(option.name) for option in SHARED if options.is_given(option.name)}
    settings = of_checked(Options.check("rest sink", OPTIONS, shared))
    if "{" in settings.url:
        raise IllegalArgumentError("The option url of the rest sink must be a whole address: nothing fills {name}")
    return SinkSettings(settings, options.text("method").upper(), rows, body, options.text("idempotencyHeader"), column)


class _Sender:
    """Sends the rows of one task."""

    most_tasks = 1
    """On riacho: so that rows go in their order and the same rows are cut the same way when they are sent again."""

    def __init__(self, to: SinkSettings) -> None:
        self._to = to
        self._of_batch = ""

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        """Raises SparkGeneralError for a request that the interface refuses, or that fails for too long."""
        client = RestClient(self._to.settings)
        sent: Counter[str] = Counter()
        context = TaskContext.get()
        task = 0 if context is None else context.partitionId()  # other rows than those of another task, if alike
        try:
            for rows in _chunks(iterator, self._to.rows):
                text = _body(self._to, rows)
                digest = hashlib.sha256(text.encode()).hexdigest()
                key = digest if self._to.column is None else str(rows[0][self._to.column])
                if self._to.column is None and (sent[digest] or self._of_batch or task):
                    key = hashlib.sha256(f"{self._of_batch} {task} {sent[digest]} {digest}".encode()).hexdigest()
                sent[digest] += 1
                client.send(_ask(self._to, text, key))
        finally:
            client.close()
        return WriterCommitMessage()


class RestBatchWriter(_Sender, DataSourceArrowWriter):
    """Appends the rows of a batch."""


class RestStreamWriter(_Sender, DataSourceStreamArrowWriter):
    """Sends the rows of each batch of a stream."""

    def forBatch(self, query_id: str, batch_id: int) -> None:  # noqa: N802 - riacho's call
        """Have the same rows in another batch be another request."""
        self._of_batch = f"{query_id}/{batch_id}"


def _chunks(batches: Iterator[pa.RecordBatch], most: int) -> Iterator[list[dict[str, Any]]]:
    """Rows, so many at a time, however they came: the same rows in the same order make the same requests."""
    waiting: list[dict[str, Any]] = []
    for batch in batches:
        waiting += batch.to_pylist(maps_as_pydicts="lossy")
        while len(waiting) >= most:
            yield waiting[:most]
            waiting = waiting[most:]
    if waiting:
        yield waiting


def _body(to: SinkSettings, rows: list[dict[str, Any]]) -> str:
    texts = [as_json(row, _plain) for row in rows]
    if to.body == "row":
        return texts[0]
    if to.body == "lines":
        return "\n".join(texts) + "\n"
    text = f"[{','.join(texts)}]"
    return text if to.body == "list" else f"{{{json.dumps(to.body)}:{text}}}"


def _ask(to: SinkSettings, text: str, key: str) -> Ask:
    headers = {"Content-Type": _TYPES.get(to.body, "application/json"), **to.settings.headers}
    if to.header:
        headers[to.header] = key
    return Ask(to.method, to.settings.url, headers=headers, body=text)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
