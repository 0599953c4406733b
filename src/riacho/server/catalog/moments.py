"""Moments as options, clauses and commands write them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from riacho.errors import AnalysisError


def timestamp_ms(text: str, zone: tzinfo = UTC) -> int:
    """A date or a timestamp as options have it, in `zone` unless it says otherwise. Raises DELTA_TIMESTAMP_INVALID."""
    return int(moment_of(text, zone).timestamp() * 1000)


def moment_of(text: str, zone: tzinfo = UTC) -> datetime:
    """As `timestamp_ms`, precisely. Raises DELTA_TIMESTAMP_INVALID."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise AnalysisError.of(
            "DELTA_TIMESTAMP_INVALID",
            f"The provided timestamp ('{text}') cannot be converted to a valid timestamp.",
            sql_state="42816",
            expr=f"'{text}'",
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
