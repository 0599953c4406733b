"""A table of the catalog that is not there yet: made when its query is accepted, then written like any other."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from riacho.server.streaming.sinks.base import OutputMode, PlainSink, Sink, SinkContext, SinkWriter
from riacho.storage import Place


class NewTableSink(PlainSink):
    """`sink` writes where the table will be; `make` makes it, with the columns of the query."""

    def __init__(self, sink: Sink, make: Callable[[pa.Schema], object]) -> None:
        self.name = sink.name
        self._sink = sink
        self._make = make

    def check(self, mode: OutputMode, checkpoint: Place) -> None:
        self._sink.check(mode, checkpoint)

    def announce(self, schema: pa.Schema) -> None:
        self._sink.announce(schema)
        self._make(schema)

    def open(self, context: SinkContext) -> SinkWriter:
        return self._sink.open(context)
