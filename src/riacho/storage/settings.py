"""Whose credentials are used for which bucket: Spark's keys first, then the AWS environment.

`spark.hadoop.fs.s3a.access.key`, or `fs.s3a.access.key` without the prefix, may be set in a session; a key of one
bucket (`fs.s3a.bucket.NAME.access.key`) goes before that of all. What nobody set is left to the environment.
Source: Hadoop's `S3AUtils.propagateBucketOptions` and its page "Connecting to an S3 store".
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, ParamSpec, TypeVar

_SPARK: Final = "spark.hadoop."
_FAMILIES: Final = ("fs.s3a.", "fs.s3.", "fs.s3n.", "fs.gs.", "google.cloud.auth.", "fs.azure.")
_SECRET_WORDS: Final = ("secret", "access.key", "token", "password", "account.key", "sas", "session")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def is_storage_key(key: str) -> bool:
    """Whether a conf says something of object storage."""
    return key.removeprefix(_SPARK).startswith(_FAMILIES)


@dataclass(frozen=True)
class StorageSettings:
    """The confs that concern object storage, without `spark.hadoop.`; never printed."""

    values: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, confs: Mapping[str, str]) -> StorageSettings:
        """Those of `confs` that concern object storage. One without Spark's prefix goes before one with it."""
        own = {key.removeprefix(_SPARK): value for key, value in confs.items() if is_storage_key(key)}
        own |= {key: value for key, value in confs.items() if is_storage_key(key) and not key.startswith(_SPARK)}
        return cls(tuple(sorted(own.items())))

    def over(self, confs: Mapping[str, str]) -> StorageSettings:
        """These with those of `confs` over them, such as the options of a read."""
        above = dict(StorageSettings.of(confs).values)
        # A session token is good for the keys that it was made with, and for no others.
        tokens = {key.replace(".access.key", ".session.token") for key in above if key.endswith(".access.key")}
        below = {key: value for key, value in self.values if key not in tokens}
        return StorageSettings(tuple(sorted({**below, **above}.items()))) if above else self

    def get(self, key: str, bucket: str = "", default: str | None = None) -> str | None:
        """What `fs.s3a.{key}` is for a bucket, without blanks around it; None or the default if it is not set."""
        values = self._by_key
        for name in (f"fs.s3a.bucket.{bucket}.{key}", f"fs.s3a.{key}", f"fs.s3.{key}", f"fs.s3n.{key}"):
            found = values.get(name, "").strip()
            if found:
                return found
        return default

    def whole(self, key: str) -> str | None:
        """What a key is that is not S3's."""
        return self._by_key.get(key, "").strip() or None

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return dict(self.values)

    @property
    def secrets(self) -> list[str]:
        """Values that must not be shown to anybody."""
        return [
            value for key, value in self.values if len(value) > 3 and any(word in key.lower() for word in _SECRET_WORDS)
        ]


NO_SETTINGS: Final = StorageSettings()
_current: ContextVar[StorageSettings | None] = ContextVar("riacho-storage-settings", default=None)
_of_the_server = NO_SETTINGS


def serve_with(confs: Mapping[str, str]) -> None:
    """Let those of `confs` that concern object storage hold wherever nothing else is set; once, by who starts it."""
    global _of_the_server  # noqa: PLW0603 - one server, one set of confs
    _of_the_server = StorageSettings.of(confs)


def of_session(confs: Mapping[str, str]) -> StorageSettings:
    """The server's settings with those of a session's confs over them."""
    return _of_the_server.over(confs)


def current() -> StorageSettings:
    """The settings that hold on this thread: the server's, if no session's do."""
    found = _current.get()
    return _of_the_server if found is None else found


def use(settings: StorageSettings) -> None:
    """Let `settings` hold on this thread from now on: what a thread begins with that works for a session."""
    _current.set(settings)


@contextmanager
def using(settings: StorageSettings) -> Iterator[None]:
    """Let `settings` hold on this thread for a while."""
    token = _current.set(settings)
    try:
        yield
    finally:
        _current.reset(token)


def carried(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function` for another thread, where the settings of this one are to hold."""
    settings = current()

    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return contextvars.copy_context().run(_run_with, settings, lambda: function(*args, **kwargs))

    return run


def _run_with(settings: StorageSettings, function: Callable[[], _R]) -> _R:
    _current.set(settings)
    return function()
