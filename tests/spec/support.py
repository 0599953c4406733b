"""Small steps that tests of the specification share, all on PySpark's public interface."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.listener import StreamingQueryProgress
from pyspark.sql.streaming.query import StreamingQuery

LIMIT_S = 60


def finish(query: StreamingQuery) -> StreamingQuery:
    """Wait until a query that ends by itself has ended, and pass it on. A failure of the query is raised."""
    assert query.awaitTermination(LIMIT_S), f"the query is still running: {query.status}"
    return query


def until(query: StreamingQuery, condition: Callable[[], bool]) -> None:
    """Wait, no longer than the limit and no longer than the query runs, until something is true of it."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {LIMIT_S} s in vain; the query says: {query.status}"
        assert not query.awaitTermination(0.05), "the query ended first"  # type: ignore[arg-type]


def write_json(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """One JSON file, a row a line, written as `write_text` does."""
    return write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_text(path: Path, text: str) -> Path:
    """A file that appears under its name only when it is whole, and is younger than any this wrote before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text)
    os.utime(unfinished, ns=(next_ms() * 1_000_000,) * 2)
    return unfinished.rename(path)


def next_ms() -> int:
    """The time now, but at least a millisecond after the last answer: Spark orders files by it."""
    global _last_ms
    _last_ms = max(_last_ms + 1, time.time_ns() // 1_000_000)
    return _last_ms


_last_ms = 0


def rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    """The rows as plain tuples, in an order that does not depend on how they were computed."""
    return sorted((tuple(row) for row in frame.collect()), key=repr)


def ids(frame: DataFrame, column: str = "id") -> list[Any]:
    """One column's values, sorted."""
    return sorted(row[0] for row in frame.select(column).collect())


def batches(query: StreamingQuery) -> list[int]:
    """How many rows each batch read, for the batches that read any."""
    return [report.numInputRows for report in query.recentProgress if report.numInputRows]


def last_progress(query: StreamingQuery) -> StreamingQueryProgress:
    """The query's last report, which must be there."""
    report = query.lastProgress
    assert report is not None, "the query has reported nothing yet"
    return report


def log_files(folder: Path) -> list[str]:
    """The names of the entries of one of a checkpoint's logs, in order; checksums and unfinished files left out."""
    names = [p.name for p in folder.glob("[0-9]*") if not p.name.endswith(".crc")]
    return sorted(names, key=lambda name: (int(name.split(".")[0]), name))


def files(spark: SparkSession, path: Path, schema: str = "id BIGINT", form: str = "json", **options: Any) -> DataFrame:
    """A stream over the files of a folder."""
    return spark.readStream.format(form).schema(schema).options(**options).load(str(path))


def syntax_error(text: str, near: str, line: int, position: int) -> str:
    """What Spark says of `text`, whose token `near` stands at that line and position."""
    lines = text.split("\n")
    marked = [*lines[:line], "-" * position + "^^^", *lines[line:]]
    place = f"SQLSTATE: 42601 (line {line}, pos {position})"
    return f"\n[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. {place}\n\n== SQL ==\n" + "\n".join(marked) + "\n"


def said(error: PySparkException) -> str:
    """The message of an error, without the server's stack trace."""
    return str(error).partition("\n\nJVM stacktrace:")[0]
