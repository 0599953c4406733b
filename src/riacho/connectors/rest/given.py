"""Options as they are given: those of a program with those of the file that it names, as texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from riacho.connectors.rest.options import OPTIONS
from riacho.errors import IllegalArgumentError
from riacho.options import Option, Options
from riacho.paths import local_path
from riacho.yaml_files import document

_WHOLE: Final = frozenset({"values", "parameters", "headers", "body", "required", "key"})
"""What a file may have a mapping or a list for."""
_OURS: Final = frozenset({"schema_json"})
"""What stands among the options of a dead letter, for whoever replays it."""
_ITSELF: Final = {"paging": ("type", "kind"), "auth": ("type", "kind"), "cursor": ("path", "field")}
"""How a section of a file calls the option that has the section's own name."""


def checked(given: Mapping[str, str], owner: str = "rest source", table: tuple[Option, ...] = OPTIONS) -> Options:
    """The options with those of their file. Raises IllegalArgumentError for a key of the file that means nothing."""
    named = {_plain(name): name for option in table for name in (option.name, *option.aliases)}
    known = {_plain(name): option.name for option in table for name in (option.name, *option.aliases)}
    own = {
        known.get(_plain(name), name): value
        for name, value in given.items()
        if name not in _OURS and not name.startswith("__")
    }
    file = own.get("config")
    if file is None:
        return Options.check(owner, table, own)
    whole = document(local_path(file))
    if not isinstance(whole, dict):
        raise IllegalArgumentError(f"{file} must be a mapping of options, not {type(whole).__name__}")
    found: dict[str, str] = {}
    for name, value in _flat(whole, ""):
        option = known.get(_plain(name))
        if option is None or option == "config":
            raise IllegalArgumentError(
                f"{file} has {name!r}, which means nothing here. It may have {', '.join(sorted(named.values()))}."
            )
        found[option] = value
    return Options.check(owner, table, {**found, **own})


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _flat(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """The options of a file as text: sections joined with a dot, lists and mappings that are values as JSON."""
    for name, value in given.items():
        full = f"{prefix}{name}"
        if prefix and str(name).lower() in _ITSELF.get(prefix.rstrip(".").lower(), ()):
            full = prefix.rstrip(".")
        if value is None:
            continue
        if _plain(full) in _WHOLE and not isinstance(value, str):
            yield full, json.dumps(value, default=as_text)
        elif isinstance(value, dict):
            yield from _flat(value, f"{full}.")
        else:
            yield full, as_text(value)


def as_text(value: Any) -> str:
    """A value as the text of an option."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, default=as_text)
    return str(value)
