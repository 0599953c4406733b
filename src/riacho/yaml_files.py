"""Files in YAML that people write: read with errors that name the file, the place and what may stand there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from riacho.errors import IllegalArgumentError


def document(path: Path) -> Any:
    """What a file says. Raises IllegalArgumentError for one that cannot be read or is not YAML."""
    try:
        return yaml.safe_load(path.read_text())
    except OSError as error:
        raise IllegalArgumentError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise IllegalArgumentError(f"{path} is not YAML: {error}") from None


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
