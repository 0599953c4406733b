"""Records that a connector cannot read: they fail the query, are skipped, or are kept in a table of dead letters.

A connector adds `OPTIONS` to its table of options, makes `BadRecords.of(…)` once in its reader, and in `read` collects
what it cannot parse:

    def read(self, partition):
        with self.bad_records.collecting() as letters:
            for at, line in lines(partition):
                try:
                    row = parsed(line)
                except ValueError as error:
                    letters.add(line, f"{partition.file}:{at}", error)
            …
            yield batch

`position` says where the record stands in its source. **The same record must have the same position when it is read
again** (an offset, an LSN, page and row of an answer that was kept): source, position and bytes are the identity of a
letter, and a letter that the table has already is not written again. So a batch that is repeated after a crash, a task
that Spark runs twice, and a batch read that is done twice set nothing aside twice. The letters of a partition are in
the table before its last rows are handed on, that is before the batch is committed.

The letters are written by the process that reads (a worker of riacho, an executor of Spark), with the Python package
`deltalake`. Letters are few: what is set aside lies in memory until there are `FLUSH_ROWS` of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from riacho.connectors.names import BAD_DATA_LOCATION
from riacho.errors import IllegalArgumentError, SparkRuntimeError
from riacho.extras import require
from riacho.options import Option, Options
from riacho.paths import local_path

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

OPTIONS: Final = (
    Option(
        "bad_data",
        "fail",
        "What becomes of a record that cannot be read: `fail` the query, `skip` it with a warning, or keep it in a "
        "table of dead letters (`dead_letter`).",
    ),
    Option(
        "bad_data_table",
        None,
        "The Delta table of dead letters, by name; it is made if it is not there. On riacho; elsewhere give "
        "`bad_data_path`.",
    ),
    Option("bad_data_path", None, "The Delta table of dead letters, by its folder; it is made if it is not there."),
)
"""To be part of each connector's table of options."""

FLUSH_ROWS: Final = 10_000
FLUSH_BYTES: Final = 16 << 20
ATTEMPTS: Final = 40
"""How often a commit is tried that others came before."""
LONGEST_WAIT_S: Final = 0.5
_SHOWN: Final = 200
_QUERY, _BATCH = "sql.streaming.queryId", "streaming.sql.batchId"
"""What Spark tells the tasks of a streaming query."""


def schema() -> pa.Schema:
    """The columns of a table of dead letters, as docs/bad-records.md describes them."""
    import pyarrow as pa

    text, time_of = pa.string(), pa.timestamp("us", "UTC")
    return pa.schema(
        [
            pa.field("id", text, nullable=False),
            pa.field("source", text, nullable=False),
            pa.field("position", text, nullable=False),
            pa.field("raw", pa.binary()),
            pa.field("reason", text),
            pa.field("exception", text),
            pa.field("time", time_of),
            pa.field("query", text),
            pa.field("batch", pa.int64()),
            pa.field("format", text),
            pa.field("options", text),
            pa.field("replay", text),
            pa.field("replayed", time_of),
        ]
    )


class Replayable(Protocol):
    """A `DataSource` whose dead letters `riacho dead-letter replay` can read again.

    It is made with the letter's `options`, over which those of the command line go.
    """

    def parse_again(
        self, schema: StructType, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]
    ) -> pa.Table:
        """The rows of these records, parsed as when they are read.

        `fail` is told the index of each that still cannot be read, and why; it has no row.
        """


@dataclass(frozen=True)
class BadRecords:
    """What one reader does with records that it cannot read. It is pickled with the reader.

    `source`: the place that is read, as people name it, without secrets: "ingest/orders", "https://example.org/items".
    `format`: the connector's name. `replay`: the options, without secrets, that its parsing needs when the letters are
    replayed (see `Replayable`).
    """

    mode: str
    location: str
    source: str
    format: str
    replay: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, options: Options, given: Mapping[str, str], *, format: str, source: str, replay: Mapping[str, str]
    ) -> BadRecords:
        """What the options ask for. `given`: all options as the connector got them, which may have `BAD_DATA_LOCATION`.

        Raises IllegalArgumentError for another word than the three, for a missing table, and for two.
        """
        mode = options.text("bad_data").lower()
        if mode not in {"fail", "skip", "dead_letter"}:
            raise options.illegal("bad_data", options.text("bad_data"), "must be fail, skip or dead_letter")
        table, path = options.maybe("bad_data_table"), options.maybe("bad_data_path")
        if mode != "dead_letter":
            return cls(mode, "", source, format, replay)
        if bool(table) == bool(path):
            raise IllegalArgumentError(
                "bad_data = 'dead_letter' needs a table for the records that cannot be read: give bad_data_table or "
                "bad_data_path" + (", not both" if table else "")
            )
        location = path or next((value for name, value in given.items() if name.lower() == BAD_DATA_LOCATION), None)
        if not location:
            raise IllegalArgumentError(
                f"bad_data_table = {table!r} is a name that only riacho's own server can look up; on another Spark "
                "server give the folder of the table in bad_data_path"
            )
        return cls(mode, located(location), source, format, replay)

    @contextmanager
    def collecting(self) -> Iterator[Letters]:
        """Set aside what one partition's records have to tell. At its end the letters are in the table.

        Raises what `Letters.add` raises, and SparkRuntimeError if the table cannot be written.
        """
        letters = Letters(self)
        try:
            yield letters
        except GeneratorExit:
            # Nobody wants the rest of the rows (LIMIT); what was met so far is told all the same.
            letters.close()
            raise
        letters.close()


class Letters:
    """The bad records of one partition while it is read."""

    def __init__(self, to: BadRecords) -> None:
        self._to = to
        self._waiting: dict[str, dict[str, Any]] = {}
        self._bytes = 0
        self._query, self._batch = task_properties()
        self.count = 0
        """How many there were so far."""

    def add(self, raw: bytes, position: str, why: BaseException | str) -> None:
        """Deal with one bad record: its bytes, where it stands in its source, and what is wrong with it.

        `why` must not contain secrets. Raises SparkRuntimeError if bad data fails the query.
        """
        to = self._to
        reason = str(why)
        if to.mode == "fail":
            raise SparkRuntimeError(
                f"A record of {to.source} cannot be read: {reason} (position {position}: {_excerpt(raw)}). Mend the "
                "source, or set the option bad_data to 'skip', which leaves such records out, or to 'dead_letter', "
                "which keeps them in a table."
            ) from (why if isinstance(why, BaseException) else None)
        self.count += 1
        if to.mode == "skip":
            if self.count == 1:
                _log().warning("%s: a record is skipped: %s (position %s)", to.source, reason, position)
            return
        key = identity(to.source, position, raw)
        self._waiting[key] = {
            "id": key,
            "source": to.source,
            "position": position,
            "raw": raw,
            "reason": reason,
            "exception": type(why).__qualname__ if isinstance(why, BaseException) else None,
            "time": datetime.now(UTC),
            "query": self._query,
            "batch": self._batch,
            "format": to.format,
            "options": json.dumps(dict(to.replay), ensure_ascii=False, sort_keys=True),
            "replay": None,
            "replayed": None,
        }
        self._bytes += len(raw)
        if len(self._waiting) >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting. Raises SparkRuntimeError if the table cannot be written."""
        if self._waiting:
            write(self._to.location, list(self._waiting.values()))
        self._waiting, self._bytes = {}, 0

    def close(self) -> None:
        """Write the rest, and say how many there were."""
        self.flush()
        if self._to.mode == "skip" and self.count > 1:
            _log().warning("%s: %d records were skipped", self._to.source, self.count)


def identity(source: str, position: str, raw: bytes) -> str:
    """What makes a bad record one and the same, however often it is read."""
    digest = hashlib.sha256()
    for part in (source.encode(), position.encode(), raw):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]


def located(path: str) -> str:
    """A path as users write it, as `deltalake` takes it."""
    scheme, colon, rest = path.partition("://")
    if colon and scheme.lower() != "file":
        return f"s3://{rest}" if scheme.lower() in {"s3a", "s3n"} else path
    return str(local_path(path))


def write(location: str, letters: Sequence[Mapping[str, Any]]) -> int:
    """Append the letters that the table at `location` does not have yet; how many these were.

    A commit goes through only if nobody committed since the table was looked at; so two that write the same letters at
    the same time write them once. Raises SparkRuntimeError if the table cannot be written.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    deltalake = require("deltalake", "ingest", "A table of dead letters")
    exceptions = require("deltalake.exceptions", "ingest", "A table of dead letters")
    rows = pa.Table.from_pylist(list(letters), schema=schema())
    for attempt in range(ATTEMPTS):
        try:
            table = _opened(deltalake, location)
            fresh = rows.filter(pc.invert(pc.is_in(rows["id"], _known(table, rows))))
            if fresh.num_rows:
                properties = deltalake.CommitProperties(max_commit_retries=0)
                deltalake.write_deltalake(table, fresh, mode="append", commit_properties=properties)
            return int(fresh.num_rows)
        except exceptions.CommitFailedError as error:
            if attempt == ATTEMPTS - 1:
                raise _unwritten(location, error) from error
            time.sleep(random.uniform(0, min(LONGEST_WAIT_S, 0.02 * 2**attempt)))
        except (exceptions.DeltaError, OSError) as error:
            raise _unwritten(location, error) from error
    raise AssertionError


def _opened(deltalake: Any, location: str) -> Any:
    """The table as it is now, made first if it is not there."""
    if not deltalake.DeltaTable.is_deltatable(location):
        deltalake.DeltaTable.create(location, schema(), mode="ignore", description="Records that could not be read")
    table = deltalake.DeltaTable(location)
    missing = {*schema().names} - {field.name for field in table.schema().fields}
    if missing:
        raise SparkRuntimeError(
            f"{location} is a table, and none of dead letters: it has no {', '.join(sorted(missing))}. Give "
            "bad_data_table or bad_data_path a table of its own."
        )
    return table


def _known(table: Any, rows: pa.Table) -> pa.Array:
    """Which of these letters the table has. The files' statistics of positions leave most files unread."""
    import pyarrow as pa
    import pyarrow.compute as pc

    data = table.to_pyarrow_dataset()
    sources, places = pc.unique(rows["source"]), pc.min_max(rows["position"])
    at = pc.field("position")
    wanted = pc.field("source").isin(sources) & (at >= places["min"]) & (at <= places["max"])
    found = data.to_table(columns=["id"], filter=wanted & pc.field("id").isin(rows["id"].combine_chunks()))
    return found["id"].combine_chunks() if found.num_rows else pa.array([], pa.string())


def task_properties() -> tuple[str | None, int | None]:
    """The streaming query and its batch that this process works for, where the server tells it."""
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    if context is None or not context._localProperties:  # noqa: SLF001 - `getLocalProperty` fails where there are none
        return None, None
    batch = context.getLocalProperty(_BATCH)
    return context.getLocalProperty(_QUERY), int(batch) if batch else None


def _excerpt(raw: bytes) -> str:
    text = raw[:_SHOWN].decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if len(raw) > _SHOWN else "")


def _unwritten(location: str, error: BaseException) -> SparkRuntimeError:
    return SparkRuntimeError(
        f"The table of dead letters at {location} cannot be written: {error}. Look at bad_data_table or bad_data_path, "
        "or set bad_data to another word."
    )


def _log() -> logging.Logger:
    return logging.getLogger(__name__)
