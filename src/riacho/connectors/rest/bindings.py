"""The values that a request is filled with: every combination of them is a request."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from riacho.connectors.rest.settings import Binding
from riacho.errors import IllegalArgumentError


def bindings_of(given: Any) -> list[Binding]:
    """The combinations of values: one with nothing if there are none. Raises IllegalArgumentError."""
    if isinstance(given, list) and all(isinstance(binding, dict) for binding in given):
        return [{name: _value(name, value) for name, value in binding.items()} for binding in given]
    if not isinstance(given, dict):
        raise IllegalArgumentError('The option values must be a JSON object such as {"id": [1, 2]}, or a list of them')
    listed = [_listed(name, value) for name, value in given.items()]
    return [dict(zip(given, chosen, strict=True)) for chosen in product(*listed)]


def _listed(name: str, value: Any) -> list[Any]:
    """The values of one name. Raises IllegalArgumentError for what cannot be part of a request."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            lines = Path(value[1:]).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise IllegalArgumentError(f"values: {name}: {value[1:]} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise IllegalArgumentError(f"values: {name}: {value[1:]} is not a text in UTF-8: {error}") from None
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    found = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(_value(name, item) for item in found))


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise IllegalArgumentError(f"values: {name} has {value!r}: it must be a text or a number, or a list of them")
    return value
