"""What a query may ask of a Delta source. Source: Delta's `DeltaOptions`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Option, refused
from riacho.server.catalog.moments import timestamp_ms
from riacho.server.delta.options import PLACE, DeltaOptions, option
from riacho.zones import UTC, Zone

MAX_FILES_PER_TRIGGER = 1000
LATEST = "latest"

OPTIONS = (
    Option("startingVersion", None, "start with the changes of this version, or `latest`: only new changes"),
    Option("startingTimestamp", None, "start with the first version at or after this time, in the session's time zone"),
    Option("maxFilesPerTrigger", "1000", "the maximum number of files in a batch"),
    Option(
        "maxBytesPerTrigger", None, "the approximate size of a batch, such as `512m`; a batch has at least one file"
    ),
    Option("ignoreDeletes", "false", "skip commits that only delete rows; otherwise they stop the query"),
    Option("skipChangeCommits", "false", "skip commits that delete or rewrite rows; otherwise they stop the query"),
    Option("ignoreChanges", "false", "emit all rows of rewritten files again"),
    Option("ignoreFileDeletion", "false", "an old name of `ignoreChanges`"),
    Option("readChangeFeed", "false", "read the changes of rows, with their kind, version and time"),
    Option("readChangeData", "false", "an old name of `readChangeFeed`"),
    Option("excludeRegex", None, "skip files whose path matches"),
    Option(
        "failOnDataLoss",
        "true",
        "stop if commits are gone that have not been read; `false` continues with the next one",
    ),
    refused(
        "withEventTimeOrder",
        "false",
        "the first snapshot is read in the order in which its files were written; sort in the query",
    ),
)
"""What the documentation lists."""


@dataclass(frozen=True)
class DeltaSourceOptions:
    """The options, checked. Names in any case.

    `starting_version`: a number or `latest`. `max_files`, `max_bytes`: of one batch, None for no limit. The flags are
    Delta's own: `ignore_deletes` lets commits pass that only delete, `ignore_changes` gives the rows of rewritten files
    once more, `skip_change_commits` leaves such commits out.
    """

    starting_version: int | str | None = None
    starting_timestamp_ms: int | None = None
    max_files: int | None = MAX_FILES_PER_TRIGGER
    max_bytes: int | None = None
    ignore_deletes: bool = False
    ignore_changes: bool = False
    skip_change_commits: bool = False
    read_change_feed: bool = False
    exclude: re.Pattern[str] | None = None
    fail_on_data_loss: bool = True

    @property
    def starts_somewhere(self) -> bool:
        """Whether the query says where to start, so that it does not begin with a snapshot."""
        return self.starting_version is not None or self.starting_timestamp_ms is not None

    @property
    def allows_changes(self) -> bool:
        return self.ignore_changes or self.skip_change_commits

    @property
    def allows_deletes(self) -> bool:
        return self.ignore_deletes or self.allows_changes

    @classmethod
    def parse(cls, given: Mapping[str, str], zone: Zone = UTC) -> DeltaSourceOptions:
        """`zone`: that of a time that names none.

        Raises DELTA_ILLEGAL_OPTION, DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET, DELTA_TIMESTAMP_INVALID,
        DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS, UnsupportedOperationError for `withEventTimeOrder`.
        """
        _refuse_time_travel(given)
        options = DeltaOptions.check("Delta source", (*OPTIONS, *PLACE), given)
        version = _starting_version(options)
        timestamp = options.maybe("startingTimestamp")
        if version is not None and timestamp is not None:
            raise IllegalArgumentError.of(
                "DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET",
                "Please either provide 'startingVersion' or 'startingTimestamp'",
                sql_state="42613",
                version="startingVersion",
                timestamp="startingTimestamp",
            )
        max_bytes = options.size_bytes("maxBytesPerTrigger")
        limited_by_size = max_bytes is not None and not options.is_given("maxFilesPerTrigger")
        return cls(
            version,
            None if timestamp is None else timestamp_ms(timestamp, zone.tzinfo),
            None if limited_by_size else options.positive("maxFilesPerTrigger"),
            max_bytes,
            options.flag("ignoreDeletes"),
            options.flag("ignoreChanges") or options.flag("ignoreFileDeletion"),
            options.flag("skipChangeCommits"),
            options.flag("readChangeFeed") or options.flag("readChangeData"),
            _pattern(options),
            options.flag("failOnDataLoss"),
        )


def _starting_version(options: DeltaOptions) -> int | str | None:
    text = options.maybe("startingVersion")
    if text is None or text.strip().lower() == LATEST:
        return None if text is None else LATEST
    if not text.strip().isdigit():
        raise options.illegal("startingVersion", text, "must be greater than or equal to zero, or 'latest'")
    return int(text)


def _pattern(options: DeltaOptions) -> re.Pattern[str] | None:
    text = options.maybe("excludeRegex")
    try:
        return None if text is None else re.compile(text)
    except re.error as failure:
        raise options.illegal("excludeRegex", text or "", f"must be a regular expression: {failure}") from None


def _refuse_time_travel(given: Mapping[str, str]) -> None:
    for name in ("versionAsOf", "timestampAsOf"):
        if option(given, name) is not None:
            raise AnalysisError.of(
                "DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS",
                "Cannot time travel views, subqueries, streams or change data feed queries. "
                f"Leave out the option {name}; startingVersion and startingTimestamp say where a stream begins.",
                sql_state="0AKDC",
            )
