"""Feed a stream row by row and look at what comes out after each step."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import write_json

SCHEMA = "ts timestamp, k string, v int"
MIDNIGHT = datetime(2024, 1, 1)  # noqa: DTZ001  the session's time zone is UTC

Event = tuple[int | None, str | None, int | None]
"""Minutes after midnight, key, value."""


class Feed:
    """A folder of JSON files as a stream of events."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._folder = folder
        self._files = 0
        folder.mkdir(parents=True)
        reader = spark.readStream.schema(SCHEMA)
        self.stream = reader.json(str(folder))
        self.file_by_file = reader.option("maxFilesPerTrigger", 1).json(str(folder))

    def put(self, *events: Event) -> None:
        """One more file."""
        rows = [
            {"ts": None if minute is None else (MIDNIGHT + timedelta(minutes=minute)).isoformat(), "k": key, "v": value}
            for minute, key, value in events
        ]
        write_json(self._folder / f"{self._files}.json", rows)
        self._files += 1


class Watched:
    """A running query whose output can be looked at step by step."""

    def __init__(self, frame: DataFrame, mode: str, name: str, checkpoint: Path | None = None) -> None:
        writer = frame.writeStream.format("memory").queryName(name).outputMode(mode)
        if checkpoint is not None:
            writer = writer.option("checkpointLocation", str(checkpoint))
        self._spark, self._name, self._mode = frame.sparkSession, name, mode
        self._seen: Counter[Any] = Counter()
        self.frame = frame
        self.query: StreamingQuery = writer.start()

    def step(self) -> list[Any]:
        """What came out since the last step, once all that is there has been taken in; in complete mode, everything."""
        self.query.processAllAvailable()
        rows = Counter(plain(row) for row in self._spark.table(self._name).collect())
        fresh = rows if self._mode == "complete" else rows - self._seen
        self._seen = rows
        return sorted(fresh.elements(), key=repr)

    def state(self, operator: int = 0) -> dict[str, int]:
        """The numbers of a stateful operator after the last batch that had rows."""
        last = [json.loads(p.json) for p in self.query.recentProgress if p.numInputRows][-1]
        numbers = last["stateOperators"][operator]
        names = {"total": "numRowsTotal", "updated": "numRowsUpdated", "late": "numRowsDroppedByWatermark"}
        return {name: numbers[key] for name, key in names.items()}


def plain(value: Any) -> Any:
    """A row as a tuple; a window as (start, end) and a time as minutes after midnight, as they were fed."""
    if isinstance(value, datetime):
        return round((value - MIDNIGHT).total_seconds() / 60, 6)
    if isinstance(value, Row | list):
        return tuple(plain(item) for item in value)
    return value
