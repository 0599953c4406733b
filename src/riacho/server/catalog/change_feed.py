"""Batch reads of a table's change feed: `spark.read.option("readChangeFeed", True)…`, which the engine does not know.

The reply is Arrow, to be put into a spool where the plan had the read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Option
from riacho.protos import pb
from riacho.server.catalog import failures
from riacho.server.catalog.base import CatalogReader
from riacho.server.catalog.moments import timestamp_ms
from riacho.server.delta import feed, history
from riacho.server.delta import schema as schemas
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.options import PLACE, DeltaOptions
from riacho.server.delta.protocol import require_readable
from riacho.server.delta.state import load_state
from riacho.storage import Place, place_of
from riacho.zones import UTC, Zone

OPTIONS: Final = (
    Option("readChangeFeed", "false", "read the changes of rows, with their kind, version and time"),
    Option("readChangeData", "false", "an old name of `readChangeFeed`"),
    Option("startingVersion", None, "the first version to read; it or `startingTimestamp` is required"),
    Option("startingTimestamp", None, "begin with the first version at or after this time, in the session's time zone"),
    Option("endingVersion", None, "the last version to read; default: the newest"),
    Option("endingTimestamp", None, "end with the last version at or before this time, in the session's time zone"),
)
"""What a batch read of a change feed takes."""


@dataclass(frozen=True)
class ChangeFeedRead:
    """Which part of which table's feed is asked for: versions `start` to `end`, both included."""

    log: DeltaLog
    schema: pa.Schema
    start: int
    end: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The changes of each version in turn; all batches have `schema`. Raises DELTA_MISSING_CHANGE_DATA."""
        table = pa.schema(list(self.schema)[: -len(feed.FEED_COLUMNS)])
        for version in range(self.start, self.end + 1):
            commit = self.log.read(version)
            feed.require_recorded(commit.metadata, version, self.start, self.end)
            actions = feed.file_actions(commit)
            for piece in feed.pieces(self.log.table, version, commit.timestamp_ms, actions):
                yield from feed.read_piece(piece, table)


def asks_for_changes(read: pb.Read) -> bool:
    """Whether a batch read is one of a change feed. Raises DELTA_ILLEGAL_OPTION."""
    if read.is_streaming:
        return False
    asked = {name: value for name, value in _given(read).items() if name.lower().startswith("readchange")}
    if not asked:
        return False
    options = DeltaOptions.check("Delta reader", OPTIONS, asked)
    return options.flag("readChangeFeed") or options.flag("readChangeData")


def plan_change_feed(read: pb.Read, catalog: CatalogReader, current_database: str, zone: Zone = UTC) -> ChangeFeedRead:
    """What a read for which `asks_for_changes` wants. `zone`: that of times that name none.

    Raises TABLE_OR_VIEW_NOT_FOUND, DELTA_PATH_DOES_NOT_EXIST, DELTA_NO_START_FOR_CDC_READ, DELTA_MULTIPLE_CDC_BOUNDARY,
    DELTA_INVALID_CDC_RANGE, DELTA_CDC_START_VERSION_AFTER_LATEST, DELTA_MISSING_CHANGE_DATA.
    """
    options = DeltaOptions.check("Delta reader", (*OPTIONS, *PLACE), _given(read))
    log = DeltaLog(_folder(read, options, catalog, current_database))
    state = load_state(log)
    require_readable(log.table, state.protocol, state.metadata)
    schema = types.nullable(feed.feed_schema(schemas.to_arrow(state.metadata.schema_json)))
    start = _boundary(log, options, "starting", zone)
    if start is None:
        raise AnalysisError.of(
            "DELTA_NO_START_FOR_CDC_READ",
            "No startingVersion or startingTimestamp provided for CDC read.",
            sql_state="42601",
        )
    if start > state.version:
        raise IllegalArgumentError.of(
            "DELTA_CDC_START_VERSION_AFTER_LATEST",
            f"Start version {start} for change data feed exceeds the latest table version {state.version}.",
            sql_state="22003",
            start=str(start),
            latest=str(state.version),
        )
    end = _boundary(log, options, "ending", zone)
    end = state.version if end is None else min(end, state.version)
    if end < start:
        raise IllegalArgumentError.of(
            "DELTA_INVALID_CDC_RANGE",
            f"CDC range from start {start} to end {end} was invalid. End cannot be before start.",
            sql_state="22003",
            start=str(start),
            end=str(end),
        )
    feed.require_recorded(load_state(log, start).metadata, start, start, end)
    return ChangeFeedRead(log, schema, start, end)


def _given(read: pb.Read) -> Mapping[str, str]:
    return read.named_table.options if read.HasField("named_table") else read.data_source.options


def _folder(read: pb.Read, options: DeltaOptions, catalog: CatalogReader, current_database: str) -> Place:
    if not read.HasField("named_table"):
        path = read.data_source.paths[0] if read.data_source.paths else options.maybe("path")
        if not path:
            raise IllegalArgumentError("'path' is not specified: give load() a path, or read the table by its name")
        return place_of(path)
    name = catalog.qualify(read.named_table.unparsed_identifier, current_database)
    table = catalog.table(name)
    if table is None:
        raise failures.table_not_found(name)
    if table.format != "delta":
        raise failures.not_delta(name, "Change Data Feed")
    return table.location


def _boundary(log: DeltaLog, options: DeltaOptions, which: str, zone: Zone) -> int | None:
    """The version at which the feed starts or ends, or None if the reader did not say."""
    version, timestamp = options.maybe(f"{which}Version"), options.maybe(f"{which}Timestamp")
    if version is not None and timestamp is not None:
        raise AnalysisError.of(
            "DELTA_MULTIPLE_CDC_BOUNDARY",
            f"Multiple {which} arguments provided for CDC read. Please provide one of either {which}Timestamp or "
            f"{which}Version.",
            sql_state="42614",
            startingOrEnding=which,
        )
    if timestamp is not None:
        moment = timestamp_ms(timestamp, zone.tzinfo)
        return (
            history.first_version_from(log, moment) if which == "starting" else history.last_version_until(log, moment)
        )
    if version is None:
        return None
    if not version.strip().isdigit():
        raise options.illegal(f"{which}Version", version, "must be a version of the table")
    return int(version)
