"""The options of a source, a sink, a reader or a writer: one table for each, and one way to read them.

Whoever takes options declares them as a table of `Option` and reads what the user gave through `Options.check`. Names
are matched in any case. An option that is known and cannot be honored is refused, unless its value asks for what
happens anyway; a name that nobody knows is ignored with a warning, as Spark ignores it. The documentation lists these
tables, and tests hold the pages to them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from riacho import units
from riacho.errors import IllegalArgumentError, UnsupportedOperationError

_log = logging.getLogger(__name__)
_OF_THE_SERVER = "__"
"""How options begin in which riacho's server tells a connector what no user has to."""


@dataclass(frozen=True)
class Option:
    """One option. A name that ends in `*` stands for all names that begin so.

    `default`: the text that stands for "not given" (None: no value at all). `supported`: False means that any value but
    the default is refused. `help`: one line for the docs, and for a refusal.
    """

    name: str
    default: str | None
    help: str
    aliases: tuple[str, ...] = ()
    supported: bool = True


def refused(name: str, default: str | None, help: str, *aliases: str) -> Option:
    """An option that Spark has and riacho cannot honor. `help`: why."""
    return Option(name, default, help, aliases, supported=False)


@dataclass(frozen=True)
class Options:
    """Options that were checked against their table. Reading one that the table lacks is a programming error.

    `owner`: whose they are, as messages call it, such as "json reader" or "Delta sink".
    """

    owner: str
    table: tuple[Option, ...]
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def check(cls, owner: str, table: Iterable[Option], given: Mapping[str, str]) -> Self:
        """The options that a user gave. Raises UnsupportedOperationError for one that riacho cannot honor."""
        options = tuple(table)
        by_name = {name.lower(): option for option in options for name in (option.name, *option.aliases)}
        families = tuple(name[:-1] for name in by_name if name.endswith("*"))
        values: dict[str, str] = {}
        for name, value in given.items():
            option = by_name.get(name.lower())
            if option is None:
                if not name.lower().startswith((*families, _OF_THE_SERVER)):
                    _log.warning("The %s does not know the option %r and ignores it", owner, name)
            elif not option.supported and (option.default is None or value.lower() != option.default.lower()):
                raise UnsupportedOperationError(
                    f"The {owner} does not support the option {option.name} = {value!r} ({option.help}). "
                    "Leave it out; the documentation lists the options that are supported."
                )
            elif name.lower() == option.name.lower() or option.name not in values:
                values[option.name] = value
        return cls(owner, options, values)

    def text(self, name: str) -> str:
        """The value, or the default; empty if it has none."""
        return self.maybe(name) or ""

    def maybe(self, name: str) -> str | None:
        """The value, or the default; None if there is neither."""
        return self.given.get(name, self._option(name).default)

    def is_given(self, name: str) -> bool:
        return self._option(name).name in self.given

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A boolean. `default` goes before the table's. Raises IllegalArgumentError for anything but true and false."""
        if default is not None and not self.is_given(name):
            return default
        value = self.text(name).lower()
        if value not in {"true", "false"}:
            raise self._not_a_flag(name, self.text(name))
        return value == "true"

    def char(self, name: str) -> str:
        """One character, or empty. Raises IllegalArgumentError for more."""
        value = self.text(name)
        if len(value) > 1:
            raise IllegalArgumentError(f"{name} cannot be more than one character, found {value!r}.")
        return value

    def number(self, name: str) -> int:
        """A whole number. Raises IllegalArgumentError."""
        try:
            return int(self.text(name))
        except ValueError:
            raise self.illegal(name, self.text(name), "must be a whole number") from None

    def positive(self, name: str, least: int = 1) -> int | None:
        """A whole number, at least `least`; None if there is none. Raises IllegalArgumentError."""
        text = self.maybe(name)
        if text is None:
            return None
        if not text.strip().isdigit() or int(text) < least:
            raise self.illegal(name, text, f"must be a {'positive' if least else 'non-negative'} integer")
        return int(text)

    def ratio(self, name: str) -> float:
        """A number between 0 and 1. Raises IllegalArgumentError."""
        try:
            ratio = float(self.text(name))
        except ValueError:
            ratio = -1
        if not 0 <= ratio <= 1:
            raise self.illegal(name, self.text(name), "must be a number between 0 and 1")
        return ratio

    def size_bytes(self, name: str) -> int | None:
        """A size such as `1048576`, `10m` or `2 GB`, in bytes; None if there is none. Raises IllegalArgumentError."""
        text = self.maybe(name)
        if text is None:
            return None
        if not (found := units.byte_size(text)):
            raise self.illegal(name, text, "must be a size configuration such as '10g'")
        return found

    def duration_ms(self, name: str) -> int | None:
        """A time such as `7d` or `30 min`, in milliseconds; None if there is none. Raises IllegalArgumentError."""
        text = self.maybe(name)
        if text is None:
            return None
        if (found := units.time_ms(text)) is None:
            raise IllegalArgumentError(
                "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour "
                "(h), or day (d). E.g. 50s, 100ms, or 250us.\n"
                f"Failed to parse time string: {text} (option {name})"
            )
        return found

    def illegal(self, name: str, value: str, why: str) -> IllegalArgumentError:
        """The error for a value that an option cannot have; `why` begins with "must"."""
        return IllegalArgumentError(f"Invalid value '{value}' for option '{name}', {why}")

    def _not_a_flag(self, name: str, value: str) -> IllegalArgumentError:
        return IllegalArgumentError(f"{name} flag can be true or false, found {value!r}.")

    def _option(self, name: str) -> Option:
        return next(option for option in self.table if option.name == name)
