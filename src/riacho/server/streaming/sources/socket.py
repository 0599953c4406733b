"""The `socket` source: the lines that a TCP server sends, for trying things out.

One connection serves one run of a query. Lines are kept until the batch that has them is committed, so a batch that the
engine lost is repeated; but nobody can send again what came before a restart, so a query cannot go on from its
checkpoint. An offset is the number of the last line, from 0; -1 stands before the first.
Source: `org.apache.spark.sql.execution.streaming.sources.TextSocketMicroBatchStream`.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from riacho.clock import Clock
from riacho.errors import AnalysisError, IllegalStateError, NumberFormatError, SparkGeneralError
from riacho.ids import Offset
from riacho.options import Option, Options
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.types import TIMESTAMP

OPTIONS: Final = (
    Option("host", None, "the server to connect to; required"),
    Option("port", None, "its port; required"),
    Option("includeTimestamp", "false", "a second column, `timestamp`, says when a line came"),
)
CONNECT_TIMEOUT_S: Final = 20.0
CHUNK_BYTES: Final = 1 << 18
_START = Offset("-1")
_VALUE = pa.field("value", pa.string())
_STAMP = pa.field("timestamp", TIMESTAMP)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SocketSource:
    """Lines from `host`:`port`."""

    host: str
    port: int
    with_timestamp: bool = False
    name: str = "socket"
    has_metadata: bool = False

    @classmethod
    def from_options(cls, given: Mapping[str, str]) -> SocketSource:
        """Raises AnalysisError for what is missing, NumberFormatError for a port that is no number."""
        options = Options.check("socket source", OPTIONS, given)
        for name in ("host", "port"):
            if not options.is_given(name):
                raise AnalysisError(f'Set a {name} to read from with option("{name}", ...).')
        stamped = options.text("includeTimestamp").lower()
        if stamped not in ("true", "false"):
            raise AnalysisError('IncludeTimestamp must be set to either "true" or "false".')
        port = options.text("port")
        if not port.isdecimal():
            raise NumberFormatError(f'For input string: "{port}"')
        return cls(options.text("host"), int(port), stamped == "true")

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([_VALUE, _STAMP] if self.with_timestamp else [_VALUE])

    def open(self, context: SourceContext) -> SocketReader:
        """Connect. Raises SparkGeneralError if nobody answers there."""
        try:
            connection = socket.create_connection((self.host, self.port), CONNECT_TIMEOUT_S)
        except (OSError, OverflowError) as error:
            reason = "Connection refused" if isinstance(error, ConnectionRefusedError) else str(error)
            raise SparkGeneralError(f"{reason}: the socket source cannot reach {self.host}:{self.port}") from None
        connection.settimeout(None)
        return SocketReader(self, connection, context.clock)


@dataclass(frozen=True)
class _Arrival:
    """Lines that came together. `first`: the number of the first."""

    first: int
    rows: pa.RecordBatch

    @property
    def end(self) -> int:
        """The number behind the last."""
        return self.first + int(self.rows.num_rows)


class SocketReader:
    """See `sources.base.SourceReader`. A thread reads what comes; when the server ends the connection, that was all."""

    def __init__(self, source: SocketSource, connection: socket.socket, clock: Clock) -> None:
        self.description = f"TextSocketV2[host: {source.host}, port: {source.port}]"
        self._schema = source.schema
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: deque[_Arrival] = deque()
        self._count = 0
        self._handed = -1
        """The last offset that this run gave: one beyond it is of another run, whatever lines there are now."""
        self._stopping = False
        self._frozen: Offset | None = None
        self._thread = threading.Thread(target=self._receive, name="riacho-socket-source", daemon=True)
        self._thread.start()

    def prepare_available_now(self) -> None:
        self._frozen = self._newest()

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset:  # noqa: ARG002 - it has no limits
        """Raises IllegalStateError for a `start` of an earlier run."""
        self._check(start or _START)
        newest = self._frozen or self._newest()
        self._handed = int(newest)
        return newest

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        """Raises IllegalStateError for lines of an earlier run."""
        self._check(end)
        first, last = int(start or _START) + 1, int(end) + 1
        with self._lock:
            found = [lines for lines in self._kept if lines.end > first and lines.first < last]
        parts = [
            lines.rows.slice(max(first - lines.first, 0), min(last, lines.end) - max(first, lines.first))
            for lines in found
        ]
        # Lines that came one by one are many parts.
        return SourceData(self._schema, iter(pa.Table.from_batches(parts, self._schema).combine_chunks().to_batches()))

    def commit(self, end: Offset) -> None:
        """Raises IllegalStateError for an offset that is not of this run."""
        self._check(end)
        with self._lock:
            while self._kept and self._kept[0].end <= int(end) + 1:
                self._kept.popleft()

    def latest(self) -> Offset | None:
        return self._newest()

    def stop(self) -> None:
        self._stopping = True
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _newest(self) -> Offset:
        with self._lock:
            return Offset(str(self._count - 1))

    def _receive(self) -> None:
        cutter = LineCutter()
        try:
            while data := self._connection.recv(CHUNK_BYTES):
                self._keep(cutter.cut(data))
        except OSError as error:
            if not self._stopping:
                _log.warning("%s: no more lines will come: %s", self.description, error)
        self._keep(cutter.rest())

    def _keep(self, lines: list[bytes]) -> None:
        if not lines:
            return
        columns: list[pa.Array] = [pa.array(lines, pa.binary()).cast(pa.string())]
        if len(self._schema) > 1:
            stamp = pa.scalar(self._clock.now_ms() * 1000, pa.int64()).cast(TIMESTAMP)
            columns.append(pa.repeat(stamp, len(lines)))
        rows = pa.record_batch(columns, schema=self._schema)
        with self._lock:
            self._kept.append(_Arrival(self._count, rows))
            self._count += len(lines)

    def _check(self, offset: Offset) -> None:
        if int(offset) > self._handed:
            raise IllegalStateError(
                f"Offsets committed out of order: {offset} followed by {self._handed}. The checkpoint is of an earlier "
                f"run, whose lines {self.description} cannot give again. Use another checkpoint: this source is for "
                "trying things out."
            )


class LineCutter:
    r"""Cuts what comes into lines, which end with \n, \r or \r\n. What is no UTF-8 is replaced, as Java does."""

    def __init__(self) -> None:
        self._unfinished = b""
        self._after_return = False

    def cut(self, data: bytes) -> list[bytes]:
        """The lines that are complete with these bytes."""
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
            self._after_return = False
        if not data:
            return []
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end:
            self._unfinished += data
            return []
        whole, self._unfinished = self._unfinished + data[:end], data[end:]
        self._after_return = data.endswith(b"\r")
        return _readable(whole).splitlines()

    def rest(self) -> list[bytes]:
        """The last line, if nothing ends it."""
        rest, self._unfinished = self._unfinished, b""
        return [_readable(rest)] if rest else []


def _readable(data: bytes) -> bytes:
    return data.decode(errors="replace").encode()
