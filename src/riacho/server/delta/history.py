"""Versions by time: when each was made, and which one a timestamp means. Source: Delta's `DeltaHistoryManager`."""

from __future__ import annotations

from riacho.clock import iso_utc
from riacho.errors import AnalysisError
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import not_a_table, version_not_found


def commit_times(log: DeltaLog) -> list[tuple[int, int]]:
    """(version, time in ms) of each commit that is there, ascending in both: clocks may go back, versions do not.

    Raises DELTA_PATH_DOES_NOT_EXIST.
    """
    times: list[tuple[int, int]] = []
    for version in log.versions():
        time_ms = log.read(version).timestamp_ms
        if times and time_ms <= times[-1][1]:
            time_ms = times[-1][1] + 1
        times.append((version, time_ms))
    if not times:
        raise not_a_table(log.table)
    return times


def first_version_from(log: DeltaLog, timestamp_ms: int) -> int:
    """The first version made at `timestamp_ms` or later. Raises DELTA_TIMESTAMP_GREATER_THAN_COMMIT."""
    times = commit_times(log)
    found = next((version for version, time_ms in times if time_ms >= timestamp_ms), None)
    if found is not None:
        return found
    raise _after_last(timestamp_ms, times[-1][1])


def _after_last(timestamp_ms: int, last_ms: int) -> AnalysisError:
    asked, last = iso_utc(timestamp_ms), iso_utc(last_ms)
    return AnalysisError.of(
        "DELTA_TIMESTAMP_GREATER_THAN_COMMIT",
        f"Timestamp {asked} is after the table's latest version ({last}). Use a timestamp at or before {last}.",
        sql_state="42816",
        providedTimestamp=asked,
        lastCommitTimestamp=last,
        maximumTimestamp=last,
    )


def last_version_until(log: DeltaLog, timestamp_ms: int) -> int:
    """The last version made at `timestamp_ms` or earlier.

    Raises DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION, DELTA_TIMESTAMP_GREATER_THAN_COMMIT: what the table will be
    then is not known yet.
    """
    times = commit_times(log)
    if timestamp_ms > times[-1][1]:
        raise _after_last(timestamp_ms, times[-1][1])
    found = [version for version, time_ms in times if time_ms <= timestamp_ms]
    if found:
        return found[-1]
    asked, first = iso_utc(timestamp_ms), iso_utc(times[0][1])
    raise AnalysisError.of(
        "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
        f"The provided timestamp ({asked}) is before the earliest version available to\nthis table ({first}). Please "
        f"use a timestamp after {first}.",
        sql_state="42816",
        userTimestamp=asked,
        commitTs=first,
        timestampString=first,
    )


def require_version(log: DeltaLog, version: int) -> None:
    """Refuse a version whose commit is not there. Raises DELTA_VERSION_NOT_FOUND, DELTA_PATH_DOES_NOT_EXIST."""
    versions = log.versions()
    if not versions:
        raise not_a_table(log.table)
    if not versions[0] <= version <= versions[-1]:
        raise version_not_found(version, versions, versions[-1])
