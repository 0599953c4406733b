"""The console sink: each batch as a table on the server's standard output, as Spark prints it.

Options `numRows` (20) and `truncate` (true). Source: `org.apache.spark.sql.execution.streaming.sources.ConsoleWrite`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, TextIO

from riacho.options import Option, Options
from riacho.protos import pb
from riacho.server.streaming.sinks.base import QUERY_OPTIONS, PlainSink, SinkBatch, SinkContext

TRUNCATED_WIDTH = 20
OPTIONS: Final = (
    Option("numRows", "20", "the number of rows shown of each batch"),
    Option("truncate", "true", "`true`: cut values off after 20 characters; a number: after so many; `false`: never"),
)
_RULE = "-------------------------------------------"


class ConsoleSink(PlainSink):
    """Takes every output mode. `options`: as the user gave them."""

    name = "console"
    temporary_checkpoint = True

    def __init__(self, options: Mapping[str, str], out: TextIO | None = None) -> None:
        checked = Options.check("console sink", (*OPTIONS, *QUERY_OPTIONS), options)
        self._rows = checked.number("numRows")
        truncate = checked.text("truncate").lower()
        self._width = TRUNCATED_WIDTH if truncate == "true" else 0
        if truncate not in {"true", "false"}:
            self._width = checked.number("truncate")
        self._out = out

    def open(self, context: SinkContext) -> ConsoleWriter:
        return ConsoleWriter(context, self._rows, self._width, self._out or sys.stdout)


class ConsoleWriter:
    takes_parts = False

    def __init__(self, context: SinkContext, rows: int, width: int, out: TextIO) -> None:
        self.description = (
            f"org.apache.spark.sql.execution.streaming.ConsoleTable$[numRows={rows}, truncate={str(width > 0).lower()}]"
        )
        self._session = context.session
        self._rows = rows
        self._width = width
        self._out = out

    def add_batch(self, batch: SinkBatch) -> int:
        table = self._session.run(batch.relation)
        shown = pb.Relation()
        shown.show_string.input.CopyFrom(batch.relation)
        shown.show_string.num_rows = self._rows
        shown.show_string.truncate = self._width
        text = self._session.run(shown).column(0)[0].as_py()
        self._out.write(f"{_RULE}\nBatch: {batch.batch_id}\n{_RULE}\n{text}\n")
        self._out.flush()
        return int(table.num_rows)

    def stop(self) -> None:
        """Nothing is open."""
