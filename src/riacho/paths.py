"""Paths as users write them: plain, or as `file:` URIs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

from riacho.errors import UnsupportedOperationError


def local_path(text: str) -> Path:
    """The absolute path that a plain path or a `file:` URI names. Raises UnsupportedOperationError for others."""
    uri = urlparse(text)
    if uri.scheme not in {"", "file"}:
        raise UnsupportedOperationError(
            f"riacho keeps tables and files on local disks: {text!r} has the scheme {uri.scheme!r}. Give a folder of "
            "this machine."
        )
    return Path(unquote(uri.path) if uri.scheme else text).absolute()
