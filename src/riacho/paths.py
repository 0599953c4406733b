"""Paths as users write them: plain, or as `file:` URIs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

from riacho.errors import IllegalArgumentError


def local_path(text: str) -> Path:
    """The absolute path that a plain path or a `file:` URI names. Raises IllegalArgumentError for other schemes."""
    uri = urlparse(text)
    if uri.scheme not in {"", "file"}:
        raise IllegalArgumentError(f"riacho reads and writes local paths; {text!r} has the scheme {uri.scheme!r}.")
    return Path(unquote(uri.path) if uri.scheme else text).absolute()
