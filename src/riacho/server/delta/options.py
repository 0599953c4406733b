"""Options of Delta's sources, sinks and writers: as all others, with Delta's own errors. Source: `DeltaOptions`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from riacho.errors import IllegalArgumentError
from riacho.options import Option, Options

PLACE: Final = (
    Option("path", None, "the folder of the table"),
    Option("location", None, "the folder of a table that a write creates by name"),
)
"""Where a table lies, for those that are read or written by path."""


@dataclass(frozen=True)
class DeltaOptions(Options):
    """See `Options`. What raises IllegalArgumentError there is DELTA_ILLEGAL_OPTION here."""

    def illegal(self, name: str, value: str, why: str) -> IllegalArgumentError:
        return illegal(name, value, why)

    def _not_a_flag(self, name: str, value: str) -> IllegalArgumentError:
        return illegal(name, value, "must be 'true' or 'false'")


def option(options: Mapping[str, str], name: str) -> str | None:
    """The value of an option whatever the case of its name, or None; where the options are not Delta's to check."""
    return next((value for key, value in options.items() if key.lower() == name.lower()), None)


def illegal(name: str, value: str, why: str) -> IllegalArgumentError:
    """The error for a value that an option cannot have; `why` begins with "must"."""
    return IllegalArgumentError.of(
        "DELTA_ILLEGAL_OPTION",
        f"Invalid value '{value}' for option '{name}', {why}",
        sql_state="42616",
        input=value,
        name=name,
        explain=why,
    )
