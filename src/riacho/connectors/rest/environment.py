"""`${NAME}` in options, and what must not be shown of them.

Secrets come from the environment of the process that reads, so that they stand in no program, plan or checkpoint.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, quote_plus

from riacho.errors import IllegalArgumentError

HIDDEN: Final = "***"
_SHORTEST = 3
"""A shorter text is part of too many others to be hidden."""
_TELLING: Final = (
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "signature",
)


@dataclass(frozen=True)
class Redactor:
    """Hides secrets in texts for people."""

    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Redactor:
        """Longer ones first, for one may be part of another; as they stand, in URLs and quoted."""
        forms = {form for text in secrets for form in _forms(text)}
        hidden = sorted(form for form in forms if len(form) >= _SHORTEST)
        return cls(tuple(sorted(hidden, key=len, reverse=True)))

    def also(self, secret: str) -> Redactor:
        """One that hides this, too."""
        return Redactor.of((*self.secrets, secret))

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _forms(text: str) -> Iterator[str]:
    for form in (text, text.strip()):
        yield from (form, quote(form, safe=""), quote_plus(form))
        yield from (repr(form)[1:-1], repr(form.encode(errors="replace"))[2:-1])
        yield from (json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1])


def is_telling(name: str) -> bool:
    """Whether a header or parameter of this name has a value that nobody should see."""
    lower = name.lower()
    return lower in ("key", "sig") or any(part in lower for part in _TELLING)


class Environment:
    """Fills `${NAME}` and `${NAME:-default}`, and remembers what came from there."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.used: set[str] = set()

    def fill(self, text: str, option: str) -> str:
        """Raises IllegalArgumentError for a variable that is not set."""
        head, mark, rest = text.partition("${")
        filled = head
        while mark:
            inside, closed, rest = rest.partition("}")
            if not closed:
                raise IllegalArgumentError(f"The option {option} has a ${{ without }}: write ${{NAME}}")
            filled += self._value(inside, option)
            head, mark, rest = rest.partition("${")
            filled += head
        return filled

    def fill_tree(self, value: Any, option: str) -> Any:
        """The same for all texts in a JSON value."""
        if isinstance(value, str):
            return self.fill(value, option)
        if isinstance(value, list):
            return [self.fill_tree(item, option) for item in value]
        if isinstance(value, dict):
            return {name: self.fill_tree(item, option) for name, item in value.items()}
        return value

    def _value(self, inside: str, option: str) -> str:
        name, default, fallback = inside.partition(":-")
        value = self._variables.get(name) or (fallback if default else None)
        if value is None:
            raise IllegalArgumentError(
                f"The option {option} asks for the environment variable {name}, which is not set where the request is "
                f"made. Set it there, or write ${{{name}:-a default}}."
            )
        if name in self._variables and not value.startswith(("http://", "https://")):
            self.used.add(value)
        return value
