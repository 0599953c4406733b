"""Which place a text means, and how places stand to each other."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.paths import local_path, path_in_name
from riacho.storage import stores
from riacho.storage.places import ObjectPath, Place
from riacho.storage.settings import StorageSettings, current

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONTAINER: Final = re.compile(r"[A-Za-z0-9$][A-Za-z0-9$-]*@[A-Za-z0-9][A-Za-z0-9.-]*")


def place_of(text: str, settings: StorageSettings | None = None) -> Place:
    """The place that a path or URI of a user names; `settings`: by default those of this thread.

    Raises UnsupportedOperationError for an unknown scheme, IllegalArgumentError for what is no path.
    """
    given, colon, behind = text.partition(":")
    scheme = given.lower()
    if not colon or scheme not in stores.KINDS:
        return local_path(text)
    bucket, _, key = behind.removeprefix("//").partition("/")
    if not behind.startswith("//") or not bucket:
        raise IllegalArgumentError(f"There is no bucket in the path {text!r}: write {scheme}://BUCKET/KEY")
    _check_bucket(scheme, bucket, key)
    plain = posixpath.normpath("/" + key).lstrip("/")
    return ObjectPath(scheme, bucket, plain, current() if settings is None else settings)


def _check_bucket(scheme: str, bucket: str, key: str) -> None:
    """Raises IllegalArgumentError for what is no bucket, and shows none of it that may be a key."""
    if stores.KINDS[scheme] == stores.AZURE:
        if _CONTAINER.fullmatch(bucket) is None:
            raise IllegalArgumentError(
                f"{bucket!r} names no container of Azure: write {scheme}://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
            )
        return
    if "@" in bucket or ":" in bucket:
        # A secret key may have slashes: then the bucket seems to end in the middle of it.
        meant = f"{bucket}/{key}".rpartition("@")[2].partition("/")[0] if "@" in f"{bucket}/{key}" else "…"
        raise IllegalArgumentError(
            f"A path must not hold credentials: {scheme}://…@{meant}. Set fs.s3a.access.key and fs.s3a.secret.key "
            "instead, and the address of a store as fs.s3a.endpoint."
        )
    if _BUCKET.fullmatch(bucket) is None:
        raise IllegalArgumentError(
            f"{bucket!r} is no name of a bucket, which has letters, digits, dots, hyphens and underscores: write "
            f"{scheme}://BUCKET/KEY"
        )


def delta_place(parts: Sequence[str]) -> Place | None:
    """The folder in ``delta.`/x` ``, None for another name. Raises as `place_of`."""
    named = path_in_name(parts)
    return place_of(named[1]) if named is not None and named[0] == "delta" else None


def place_at(path: str) -> Place:
    """The place whose `str` this is: quicker than `place_of`, and for texts that riacho has made."""
    return Path(path) if path.startswith("/") else place_of(path)


def is_object(text: str) -> bool:
    """Whether a path of a user is one of object storage."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in stores.KINDS


def one_name(text: str) -> str:
    """The same text for each of the schemes by which users name one place (`s3a://b/x`, `s3://b/x`)."""
    if text.startswith("/"):
        return text
    scheme, mark, rest = text.partition("://")
    return f"{stores.KINDS.get(scheme, scheme)}{mark}{rest}"


def on_disk(place: Place, what: str) -> Path:
    """A place that must be on this machine, because of `what` ("A state store").

    Raises UnsupportedOperationError for one that is not.
    """
    if isinstance(place, Path):
        return place
    raise UnsupportedOperationError(f"{what} must be on a local disk, and {place} is in object storage.")


def rebound(place: Place) -> Place:
    """The same place for the credentials of this thread, if there are any."""
    settings = current()
    if isinstance(place, Path) or not settings.values:
        return place
    return ObjectPath(place.scheme, place.bucket, place.key, settings)


def matching(folder: Place, pattern: str) -> list[Place]:
    """What `glob` gives, in the order of names; nothing where there is no folder."""
    found: list[Place] = []
    found.extend(folder.glob(pattern))
    return sorted(found, key=str)


def relative(place: Place, folder: Place) -> str:
    """The path of a place below a folder of the same storage. Raises ValueError if it is not below it."""
    if isinstance(place, Path) and isinstance(folder, Path):
        return place.relative_to(folder).as_posix()
    if isinstance(place, ObjectPath) and isinstance(folder, ObjectPath):
        return str(place.relative_to(folder))
    raise ValueError(f"{place} is not below {folder}")
