"""What a query may ask of a Delta source. Source: Delta's `DeltaOptions`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from riacho.errors import AnalysisError, IllegalArgumentError, UnsupportedOperationError
from riacho.server.catalog.options import OptionHelp, byte_size, flag, illegal, option, positive, timestamp_ms
from riacho.zones import UTC, Zone

MAX_FILES_PER_TRIGGER = 1000
LATEST = "latest"

OPTIONS = (
    OptionHelp("startingVersion", "", "start with the changes of this version, or `latest`: only new changes"),
    OptionHelp(
        "startingTimestamp", "", "start with the first version at or after this time, in the session's time zone"
    ),
    OptionHelp("maxFilesPerTrigger", "1000", "the maximum number of files in a batch"),
    OptionHelp(
        "maxBytesPerTrigger", "", "the approximate size of a batch, such as `512m`; a batch has at least one file"
    ),
    OptionHelp("ignoreDeletes", "false", "skip commits that only delete rows; otherwise they stop the query"),
    OptionHelp("skipChangeCommits", "false", "skip commits that delete or rewrite rows; otherwise they stop the query"),
    OptionHelp("ignoreChanges", "false", "emit all rows of rewritten files again; `ignoreFileDeletion` is an old name"),
    OptionHelp(
        "readChangeFeed",
        "false",
        "read the changes of rows, with their kind, version and time; `readChangeData` is an old name",
    ),
    OptionHelp("excludeRegex", "", "skip files whose path matches"),
    OptionHelp(
        "failOnDataLoss",
        "true",
        "stop if commits are gone that have not been read; `false` continues with the next one",
    ),
)
"""What the documentation lists; `withEventTimeOrder` is refused."""


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
    def parse(cls, options: Mapping[str, str], zone: Zone = UTC) -> DeltaSourceOptions:
        """`zone`: that of a time that names none.

        Raises DELTA_ILLEGAL_OPTION, DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET, DELTA_TIMESTAMP_INVALID,
        DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS, UnsupportedOperationError for `withEventTimeOrder`.
        """
        _refuse_unsupported(options)
        version = _starting_version(options)
        timestamp = option(options, "startingTimestamp")
        if version is not None and timestamp is not None:
            raise IllegalArgumentError.of(
                "DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET",
                "Please either provide 'startingVersion' or 'startingTimestamp'",
                sql_state="42613",
                version="startingVersion",
                timestamp="startingTimestamp",
            )
        max_bytes = byte_size(options, "maxBytesPerTrigger")
        max_files = positive(options, "maxFilesPerTrigger")
        if max_files is None and max_bytes is None:
            max_files = MAX_FILES_PER_TRIGGER
        return cls(
            version,
            None if timestamp is None else timestamp_ms(timestamp, zone.tzinfo),
            max_files,
            max_bytes,
            flag(options, "ignoreDeletes"),
            flag(options, "ignoreChanges") or flag(options, "ignoreFileDeletion"),
            flag(options, "skipChangeCommits"),
            flag(options, "readChangeFeed") or flag(options, "readChangeData"),
            _pattern(option(options, "excludeRegex")),
            flag(options, "failOnDataLoss", default=True),
        )


def _starting_version(options: Mapping[str, str]) -> int | str | None:
    text = option(options, "startingVersion")
    if text is None or text.strip().lower() == LATEST:
        return None if text is None else LATEST
    if not text.strip().isdigit():
        raise illegal("startingVersion", text, "must be greater than or equal to zero, or 'latest'")
    return int(text)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as failure:
        raise illegal("excludeRegex", text or "", f"must be a regular expression: {failure}") from None


def _refuse_unsupported(options: Mapping[str, str]) -> None:
    for name in ("versionAsOf", "timestampAsOf"):
        if option(options, name) is not None:
            raise AnalysisError.of(
                "DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS",
                "Cannot time travel views, subqueries, streams or change data feed queries. "
                f"Leave out the option {name}; startingVersion and startingTimestamp say where a stream begins.",
                sql_state="0AKDC",
            )
    if flag(options, "withEventTimeOrder"):
        raise UnsupportedOperationError(
            "The option withEventTimeOrder of a Delta source is not supported by riacho: the first snapshot is read in "
            "the order in which its files were written. Leave it out, or sort in the query."
        )
