"""Places: a folder or file of a local disk (`pathlib.Path`), or what lies under a key of a bucket (`ObjectPath`).

An object store has no folders: a prefix is one for as long as an object lies below it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import quote

from riacho.errors import StorageError
from riacho.storage import stores
from riacho.storage.failures import asking
from riacho.storage.settings import StorageSettings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from obstore.store import ObjectStore

_LISTED_AT_ONCE: Final = 1000
_PIECE_BYTES: Final = 4 << 20
LOOK_BYTES: Final = 1 << 20
"""How much of an object is fetched when it is looked at."""


@dataclass(frozen=True)
class ObjectEntry:
    """What a listing tells of an object, or of a prefix that looks like a folder (then without size and time)."""

    place: ObjectPath
    size: int = 0
    modified_ns: int = 0
    is_folder: bool = False
    version: str = ""
    """What tells this content of the object from another (its ETag)."""


@dataclass(frozen=True)
class ObjectStat:
    """As `os.stat_result`, as far as an object has it."""

    st_size: int
    st_mtime_ns: int
    version: str = ""
    head: bytes = b""

    @property
    def st_mtime(self) -> float:
        return self.st_mtime_ns / 1_000_000_000


class ObjectPath:
    """A key of a bucket, with the methods of `pathlib.Path` that riacho uses; each request may take milliseconds.

    `str()` gives it as Spark shows it, `s3a://bucket/key`. Two are equal if they mean the same object to the same
    credentials. Methods raise FileNotFoundError as those of `Path` do, and StorageError.
    """

    def __init__(self, scheme: str, bucket: str, key: str, settings: StorageSettings) -> None:
        self.scheme = scheme
        self.bucket = bucket
        self.key = key
        self.settings = settings
        self.kind = stores.KINDS[scheme]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}" if self.key else f"{self.scheme}://{self.bucket}"

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash((self.kind, self.bucket, self.key))

    def __lt__(self, other: ObjectPath) -> bool:
        return (self.bucket, self.key) < (other.bucket, other.key)

    @property
    def _identity(self) -> tuple[str, str, str, StorageSettings]:
        return self.kind, self.bucket, self.key, self.settings

    # Names

    def at(self, key: str) -> ObjectPath:
        """The place of another key of the same bucket."""
        return ObjectPath(self.scheme, self.bucket, key, self.settings)

    def __truediv__(self, below: str | PurePosixPath) -> ObjectPath:
        text = str(below)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if not parts:
            return self
        return self.at("/".join([self.key, *parts] if self.key else parts))

    def joinpath(self, *below: str | PurePosixPath) -> ObjectPath:
        place = self
        for each in below:
            place /= each
        return place

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> ObjectPath:
        return self.at(self.key.rpartition("/")[0])

    @property
    def parents(self) -> Sequence[ObjectPath]:
        found = []
        place = self
        while place.key:
            place = place.parent
            found.append(place)
        return found

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket as the root, and the parts of the key."""
        return f"{self.scheme}://{self.bucket}", *(part for part in self.key.split("/") if part)

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """Raises ValueError if this does not lie below `other`."""
        if not self.is_relative_to(other):
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key[len(other.key) :].lstrip("/"))

    def is_relative_to(self, other: ObjectPath) -> bool:
        if (self.kind, self.bucket) != (other.kind, other.bucket):
            return False
        return not other.key or self.key == other.key or self.key.startswith(other.key + "/")

    def with_name(self, name: str) -> ObjectPath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> ObjectPath:
        return self.with_name(str(PurePosixPath(self.name).with_suffix(suffix)))

    def as_posix(self) -> str:
        return str(self)

    def as_uri(self) -> str:
        """As Spark's `_metadata.file_path` shows it, percent-encoded."""
        return f"{self.scheme}://{self.bucket}/{quote(self.key)}"

    def absolute(self) -> ObjectPath:
        return self

    def resolve(self) -> ObjectPath:
        return self

    # Looking

    @property
    def store(self) -> ObjectStore:
        """The client for the bucket. Raises AnalysisError for a missing extra, IllegalArgumentError for settings."""
        with self.asking("make a client for"):
            return stores.store_of(self.kind, self.bucket, self.settings)

    def options(self) -> dict[str, str]:
        """Endpoint and credentials as delta-rs wants them: to be handed over and never shown."""
        return stores.delta_options(self.kind, self.bucket, self.settings)

    def asking(self, what: str) -> AbstractContextManager[None]:
        """See `failures.asking`."""
        return asking(what, self, self._secrets)

    def _secrets(self) -> list[str]:
        return stores.secrets(self.bucket, self.settings)

    def stat(self) -> ObjectStat:
        store = self.store
        if not self.key:
            raise FileNotFoundError(2, "A bucket is no object", str(self))
        with self.asking("look at"):
            found = store.head(self.key)
        return ObjectStat(found["size"], _ns(found["last_modified"]), found["e_tag"] or "")

    def is_file(self) -> bool:
        if not self.key:
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there is an object below, be it only the mark of an empty folder. A bucket is a folder."""
        return any(self._chunks(None)) or not self.key

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def listing(self, start_after: str | None = None) -> Iterator[ObjectEntry]:
        """All objects below, however deep, in the order of their keys; asked for a thousand at a time.

        `start_after`: only those whose keys come after this one.
        """
        root = len(self.key) + 1 if self.key else 0
        for chunk in self._chunks(start_after):
            for found in chunk:
                if len(found["path"]) > root or not root:
                    yield self._entry(found)

    def listed(self, start_after: str | None = None) -> Iterator[list[tuple[str, int, int]]]:
        """As `listing`, in chunks of key, size and time (ms since 1970): a few microseconds for each object."""
        for chunk in self._chunks(start_after):
            yield [(found["path"], found["size"], _ns(found["last_modified"]) // 1_000_000) for found in chunk]

    def _chunks(self, start_after: str | None) -> Iterator[Sequence[Any]]:
        """What the store tells of all objects below, and of the mark of this folder (whose path is the key itself)."""
        store = self.store
        with self.asking("list"):
            stream = store.list(self.key or None, offset=start_after, chunk_size=_LISTED_AT_ONCE)
        while True:
            try:
                with self.asking("list"):
                    chunk = next(stream, None)
            except FileNotFoundError:
                return  # what a disk of an object store's kind says of a prefix that is not there
            if chunk is None:
                return
            yield chunk

    def children(self) -> list[ObjectEntry]:
        """What lies directly below: objects, and prefixes as folders, by name."""
        store = self.store
        with self.asking("list"):
            found = store.list_with_delimiter(self.key or None)
        folders = [ObjectEntry(self.at(prefix), is_folder=True) for prefix in found["common_prefixes"]]
        objects = [self._entry(each) for each in found["objects"] if each["path"] != self.key]
        return sorted([*folders, *objects], key=lambda entry: entry.place.key)

    def _entry(self, found: Any) -> ObjectEntry:
        return ObjectEntry(
            self.at(found["path"]), found["size"], _ns(found["last_modified"]), version=found["e_tag"] or ""
        )

    def iterdir(self) -> Iterator[ObjectPath]:
        """As `Path.iterdir`, but nothing where that raises FileNotFoundError."""
        return (entry.place for entry in self.children())

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Objects and prefixes below whose names match, part by part; no `**`."""
        first, _, rest = pattern.partition("/")
        for entry in self.children():
            if not fnmatch.fnmatchcase(entry.place.name, first):
                continue
            if not rest:
                yield entry.place
            elif entry.is_folder:
                yield from entry.place.glob(rest)

    def rglob(self, pattern: str) -> Iterator[ObjectPath]:
        """Objects below, however deep, whose name matches."""
        return (entry.place for entry in self.listing() if fnmatch.fnmatchcase(entry.place.name, pattern))

    # Reading and writing

    def read_bytes(self) -> bytes:
        store = self.store
        with self.asking("read"):
            return bytes(store.get(self.key).bytes())

    def read_dated(self) -> tuple[bytes, int]:
        """Its content and when it was written, in ms since 1970, in one request."""
        store = self.store
        with self.asking("read"):
            found = store.get(self.key)
            return bytes(found.bytes()), _ns(found.meta["last_modified"]) // 1_000_000

    def chunks(self) -> Iterator[bytes]:
        """Its content in pieces of some megabytes, as they come."""
        store = self.store
        with self.asking("read"):
            stream = iter(store.get(self.key).stream(min_chunk_size=_PIECE_BYTES))
        while True:
            with self.asking("read"):
                piece = next(stream, None)
            if piece is None:
                return
            yield bytes(piece)

    def read_range(self, start: int, end: int, version: str = "") -> bytes:
        """The bytes from `start` on, up to `end`.

        `version`: raises StorageError if the content is no longer that one, so that nobody reads half of each.
        """
        from obstore.exceptions import PreconditionError

        store = self.store
        if version:
            try:
                with self.asking("read"):
                    return bytes(store.get(self.key, options={"range": (start, end), "if_match": version}).bytes())
            except PreconditionError:
                raise StorageError(
                    f"{self} was overwritten while it was read. Give new content a name of its own, and read it again."
                ) from None
        with self.asking("read"):
            return bytes(store.get_range(self.key, start=start, end=end))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> int:
        """Replace the object; it appears whole."""
        store = self.store
        with self.asking("write"):
            store.put(self.key, data)
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    def open(self, mode: str = "rb", buffering: int = -1) -> IO[bytes]:  # noqa: ARG002 - as pathlib's
        """To read bytes: small objects whole, large ones in ranges. Raises ValueError for another mode."""
        from riacho.storage.ranges import RangeFile

        if mode not in {"rb", "br"}:
            raise ValueError(
                f"an object can be opened to read bytes, not {mode!r}: write it with write_bytes or upload"
            )
        found = self.look()
        if len(found.head) == found.st_size:
            return BytesIO(found.head)
        return cast(IO[bytes], RangeFile(self, found.st_size, found.head, found.version))

    def look(self) -> ObjectStat:
        """What `stat` says, and how the content begins, with one request: of small objects it is all."""
        store = self.store
        try:
            with self.asking("read"):
                found = store.get(self.key, options={"range": (0, LOOK_BYTES)})
                meta = found.meta
                head = bytes(found.bytes())
        except StorageError:
            found_empty = self.stat()  # of an empty object there is no range
            if found_empty.st_size:
                raise
            return replace(found_empty, head=b"")
        return ObjectStat(meta["size"], _ns(meta["last_modified"]), meta["e_tag"] or "", head)

    def touch(self) -> None:
        """Make it an empty object, or give it a new time."""
        self.write_bytes(b"")

    def unlink(self, missing_ok: bool = False) -> None:
        """Take the object away. Stores do not tell whether it was there: nothing is raised if it was not."""
        store = self.store
        try:
            with self.asking("delete"):
                store.delete(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a prefix is there when something lies below it."""

    def rmdir(self) -> None:
        """Nothing, as `mkdir`."""


Place: TypeAlias = Path | ObjectPath


def _ns(moment: datetime) -> int:
    """A `datetime` in ns since 1970, without a float in between."""
    whole = int(moment.timestamp() // 1)
    return whole * 1_000_000_000 + moment.microsecond * 1000
