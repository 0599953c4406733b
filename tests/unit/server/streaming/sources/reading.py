"""Runs a source by hand, as a query does: ask for an offset, read the range, commit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from riacho.ids import Offset
from riacho.server.engine.base import EngineSession
from riacho.server.streaming.sources.base import ReadLimit, Source, SourceContext, SourceReader
from riacho.testing.clock import ManualClock


@dataclass
class Run:
    """One run of a source over the checkpoint folder `log`. `offset`: the end of the last batch."""

    source: Source
    log: Path
    with_metadata: bool = False
    offset: Offset | None = None
    clock: ManualClock = field(default_factory=ManualClock)
    unused: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        context = SourceContext(self.log, cast(EngineSession, None), self.clock, self.with_metadata, self.unused)
        self.reader: SourceReader = self.source.open(context)
        self.metrics: dict[str, str] = {}

    def batch(self, *, everything: bool = False) -> list[dict[str, Any]] | None:
        """The rows of the next batch, committed; None if nothing is new."""
        end = self.reader.latest_offset(self.offset, ReadLimit(everything))
        if end is None or end == self.offset:
            return None
        rows = self.rows(end)
        self.reader.commit(end)
        self.offset = end
        return rows

    def rows(self, end: Offset) -> list[dict[str, Any]]:
        """The rows from the last batch up to `end`."""
        data = self.reader.read(self.offset, end)
        table = pa.Table.from_batches(data.batches, data.schema)
        self.metrics = data.metrics
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def restart(self, source: Source | None = None) -> Run:
        """Another run over the same log, from the same offset."""
        return Run(source or self.source, self.log, self.with_metadata, self.offset)


def land(folder: Path, name: str, text: str, second: int = 0) -> Path:
    """A file modified that many seconds into the year 2024."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1_704_067_200 + second,) * 2)
    return path
