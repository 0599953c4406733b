"""Options as Spark takes them: names in any case, values as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from riacho import units
from riacho.errors import AnalysisError, IllegalArgumentError


@dataclass(frozen=True)
class OptionHelp:
    """An option as the documentation lists it."""

    name: str
    default: str
    help: str


def option(options: Mapping[str, str], name: str) -> str | None:
    """The value of an option whatever the case of its name, or None."""
    return next((value for key, value in options.items() if key.lower() == name.lower()), None)


def flag(options: Mapping[str, str], name: str, default: bool = False) -> bool:
    """An option that is true or false. Raises DELTA_ILLEGAL_OPTION."""
    value = option(options, name)
    if value is None:
        return default
    if value.strip().lower() not in {"true", "false"}:
        raise illegal(name, value, "must be 'true' or 'false'")
    return value.strip().lower() == "true"


def positive(options: Mapping[str, str], name: str) -> int | None:
    """An option that is a number of things, at least one. Raises DELTA_ILLEGAL_OPTION."""
    value = option(options, name)
    if value is None:
        return None
    if not value.strip().isdigit() or int(value) < 1:
        raise illegal(name, value, "must be a positive integer")
    return int(value)


def byte_size(options: Mapping[str, str], name: str) -> int | None:
    """An option that is a size such as `10g`, `512mb` or `1024` (bytes). Raises DELTA_ILLEGAL_OPTION."""
    value = option(options, name)
    if value is None:
        return None
    found = units.byte_size(value)
    if not found:
        raise illegal(name, value, "must be a size configuration such as '10g'")
    return found


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


def illegal(name: str, value: str, why: str) -> IllegalArgumentError:
    """The error for an option's bad value."""
    return IllegalArgumentError.of(
        "DELTA_ILLEGAL_OPTION",
        f"Invalid value '{value}' for option '{name}', {why}",
        sql_state="42616",
        input=value,
        name=name,
        explain=why,
    )
