"""Paths as users write them: plain, or as `file:` URIs. Whoever takes a path from a user takes it through `local_path`.

Spark reads a path as Hadoop's `Path` does: what stands before a colon is a scheme, `file:/x` and `file:///x` are `/x`,
and nothing is decoded, so that `%20` is three characters of a name.
"""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from riacho.errors import IllegalArgumentError, UnsupportedOperationError

PATH_FORMATS: Final = frozenset({"delta", "json", "csv", "parquet", "text", "orc", "avro", "binaryfile", "xml"})
"""What may stand before a path in SQL: ``json.`/x` ``."""


def local_path(text: str) -> Path:
    """The absolute path that a plain path or a `file:` URI names.

    Raises UnsupportedOperationError for another scheme, IllegalArgumentError for what is no path.
    """
    if not text:
        raise IllegalArgumentError("Can not create a Path from an empty string")
    scheme, rest = _scheme(text)
    if scheme not in {"", "file"}:
        raise UnsupportedOperationError(
            f'No FileSystem for scheme "{scheme}": {text!r} is not on a local disk. Object storage is named by '
            "s3://, s3a://, gs:// or abfss://, where it is possible."
        )
    if scheme and rest.startswith("//") and not rest.startswith("///"):
        raise IllegalArgumentError(f"Wrong FS: {text}, expected: file:///")
    if scheme and not rest.startswith("/"):
        raise IllegalArgumentError(f"Relative path in absolute URI: {text}")
    # A path may begin with two slashes for POSIX, which means nothing here.
    return Path("/" + os.path.normpath(Path(rest).absolute()).lstrip("/"))


def qualified(path: object) -> str:
    """A place as Spark's messages print it: `file:/x` for a local path, `s3a://bucket/x` as it is."""
    text = str(path)
    return text if "://" in text else f"file:{text}"


def path_in_name(parts: Sequence[str]) -> tuple[str, str] | None:
    """The format and the path in a name such as ``delta.`/x` ``, the path as it was written; None for another name."""
    if len(parts) == 2 and parts[0].lower() in PATH_FORMATS and "/" in parts[1]:
        return parts[0].lower(), parts[1]
    return None


def _scheme(text: str) -> tuple[str, str]:
    """The scheme in lower case, "" for none, and what stands behind it."""
    colon, slash = text.find(":"), text.find("/")
    if colon < 0 or 0 <= slash < colon:
        return "", text
    return text[:colon].lower(), text[colon + 1 :]
