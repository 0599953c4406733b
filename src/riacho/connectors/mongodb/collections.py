"""Which collections are meant: one, several with commas between, or all of a database (`*`).

A comma, a backslash or a leading asterisk in a name has a backslash before it.
Source: `com.mongodb.spark.sql.connector.config.CollectionsConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from riacho.errors import IllegalArgumentError

_ALL: Final = "*"
_ESCAPABLE: Final = ",\\*"


@dataclass(frozen=True)
class Collections:
    """`names`: none for all that there are."""

    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Collections:
        """Raises IllegalArgumentError for an empty name and for a backslash that is before nothing special."""
        return cls(() if text == _ALL else tuple(dict.fromkeys(_names(text))))

    @property
    def single(self) -> str | None:
        """The name, if there is just one."""
        return self.names[0] if len(self.names) == 1 else None

    @property
    def shown(self) -> str:
        """How messages call them."""
        return self.single or (f"[{', '.join(self.names)}]" if self.names else _ALL)


def _names(text: str) -> list[str]:
    names, name, at = [], "", 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            if at + 1 == len(text):
                raise IllegalArgumentError(f"The '\\' character at the index {at} does not escape anything: \"{text}\"")
            at += 1
            if text[at] not in _ESCAPABLE:
                raise IllegalArgumentError(
                    f"The '{text[at]}' character at the index {at} must not be escaped: \"{text}\""
                )
            name += text[at]
        elif char == ",":
            if not name or at + 1 == len(text):
                raise IllegalArgumentError(
                    f'Empty elements are not allowed. Something is wrong at the index {at}: "{text}"'
                )
            names.append(name)
            name = ""
        else:
            name += char
        at += 1
    return [*names, name]
