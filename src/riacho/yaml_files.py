"""Files in YAML that people write: read with errors that name the file, the place and what may stand there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from riacho.errors import IllegalArgumentError


def document(path: Path) -> Any:
    """What a file says. Raises IllegalArgumentError for one that cannot be read or is not YAML."""
    try:
        return parsed(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise IllegalArgumentError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise IllegalArgumentError(f"{path} is not a text in UTF-8: {error}") from None


def parsed(text: str, where: str) -> Any:
    """What a text in YAML says; `where` is what messages call it. Raises IllegalArgumentError for what is no YAML, and
    for a key that a mapping has twice, of which YAML's loader would drop the first.

    JSON, which is YAML too, is read without PyYAML: a Spark server that runs a connector may not have it.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise _twice(where, key)
            found[key] = value
        return found

    with suppress(ValueError):
        return json.loads(text, object_pairs_hook=once)
    try:
        import yaml
    except ImportError:
        raise IllegalArgumentError(
            f"{where} is in YAML, and PyYAML is not installed where it is read: pip install pyyaml, or write it as JSON"
        ) from None

    class Loader(yaml.SafeLoader):
        """Takes no key twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        raise _twice(where, key.value, f" (line {key.start_mark.line + 1})")
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        raise IllegalArgumentError(f"{where} is not YAML: {error}") from None


def _twice(where: str, key: str, line: str = "") -> IllegalArgumentError:
    return IllegalArgumentError(f"{where} has the key {key!r} twice in one mapping{line}: only one of them would count")


def mapping(given: Any, where: str, known: frozenset[str]) -> Mapping[str, Any]:
    """A mapping with no other keys than these; empty for nothing at all. Raises IllegalArgumentError.

    `where`: what messages call its place.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise IllegalArgumentError(f"{where} must be a mapping, not {given!r}")
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise IllegalArgumentError(
            f"{where} has {', '.join(map(repr, unknown))}, which means nothing here. It may have "
            f"{', '.join(sorted(known))}."
        )
    return given
