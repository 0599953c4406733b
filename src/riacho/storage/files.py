"""What must be atomic, or is done in another way on a disk than in an object store."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from riacho.errors import StorageError
from riacho.storage.places import ObjectEntry, ObjectPath, Place
from riacho.storage.ranges import SMALL_BYTES, RangeFile

if TYPE_CHECKING:
    import pyarrow as pa

_WRITER: Final = "riachowriter"
"""Metadata of an object that was put to be new: who put it."""
_ATTEMPTS: Final = 5
_REPEAT_S: Final = 30.0
_DELETED_AT_ONCE: Final = 1000
_PART_BYTES: Final = 8 << 20


def create_new(place: Place, content: bytes) -> bool:
    """Make `content` the file at `place`, unless there is one: then False, and nothing has changed.

    It appears whole or not at all, and of several who try at once, one is told True. On a disk it is written aside and
    linked into place; in a store it is put on the condition that there is none. The folder must be there. Raises
    OSError, StorageError: then it may be there or not.
    """
    if isinstance(place, Path):
        return _link_new(place, content)
    return _put_new(place, content)


def replace(place: Place, content: bytes) -> None:
    """Make `content` the file at `place`, whatever is there; readers see the old content or the new.

    Raises OSError, StorageError.
    """
    if isinstance(place, Path):
        aside = place.with_name(f".{place.name}.{uuid4()}.tmp")
        aside.write_bytes(content)
        os.replace(aside, place)  # noqa: PTH105
        return
    place.write_bytes(content)


def upload(file: Path, place: ObjectPath) -> None:
    """Copy a file of this machine into a store, large ones in parts at once; it appears whole. Raises StorageError."""
    store = place.store
    with place.asking("write"):
        store.put(place.key, file, chunk_size=_PART_BYTES)


def open_input(place: Place, size: int | None = None) -> str | pa.NativeFile:
    """What pyarrow reads the file at `place` from: the path of a local one, else a file of ranges.

    `size`: how large an object is, where that is known; it saves a request. Raises FileNotFoundError, StorageError.
    """
    if isinstance(place, Path):
        return str(place)
    import pyarrow as pa  # what only names places, such as the command line, does without

    if size is not None and size <= SMALL_BYTES:
        return pa.BufferReader(place.read_bytes())
    if size is None:
        found = place.look()
        if len(found.head) == found.st_size:
            return pa.BufferReader(found.head)
        return pa.PythonFile(RangeFile(place, found.st_size, found.head, found.version), mode="r")
    return pa.PythonFile(RangeFile(place, size), mode="r")


def delete_tree(place: Place, first: Callable[[ObjectEntry], bool] | None = None) -> None:
    """Remove a folder and all below it; nothing happens if there is none.

    In a store this is many requests, and may stop in the middle. `first`: which objects go before all others, the last
    by name first.
    """
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=True)
        return
    found = list(place.listing())
    ahead = [entry for entry in found if first is not None and first(entry)]
    delete_objects([entry.place for entry in reversed(ahead)], in_order=True)
    gone = {entry.place.key for entry in ahead}
    delete_objects([entry.place for entry in found if entry.place.key not in gone])


def delete_objects(places: Iterable[ObjectPath], *, in_order: bool = False) -> None:
    """Remove objects, a thousand with each request; those that are not there do no harm. All are of one bucket."""
    held = list(places)
    step = 1 if in_order else _DELETED_AT_ONCE
    for at in range(0, len(held), step):
        chunk = held[at : at + step]
        store = chunk[0].store
        with contextlib.suppress(FileNotFoundError), chunk[0].asking("delete"):
            store.delete([place.key for place in chunk])


def move(source: Place, target: Place, last: Callable[[ObjectEntry], bool] | None = None) -> None:
    """Give a folder or file another place, on the same disk or in the same bucket.

    In a store all is copied, then removed: it is no single step. `last`: which objects are copied after all others.
    Raises FileNotFoundError.
    """
    if isinstance(source, Path) and isinstance(target, Path):
        source.rename(target)
        return
    if isinstance(source, Path) or isinstance(target, Path) or not target.is_relative_to(source.at("")):
        raise StorageError(f"{source} and {target} are not of the same storage: copy the files instead")
    found = list(source.listing()) or [ObjectEntry(source)]
    if last is not None:
        found.sort(key=lambda entry: (last(entry), entry.place.key))
    store = source.store
    for entry in found:
        moved = target.key + entry.place.key[len(source.key) :]
        with entry.place.asking("copy"):
            store.copy(entry.place.key, moved)
    delete_objects(entry.place for entry in reversed(found))


def _link_new(place: Path, content: bytes) -> bool:
    target = str(place)
    folder, _, name = target.rpartition("/")
    aside = f"{folder}/.{name}.{uuid4()}.tmp"
    with open(aside, "wb") as file:  # noqa: PTH123 (ten times faster than pathlib, once for every batch)
        file.write(content)
    try:
        os.link(aside, target)
    except FileExistsError:
        return False
    except OSError as failure:
        if failure.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
            raise
        return _fill_new(target, content)
    finally:
        # Whoever sees an error takes the file for not made: a leftover is the lesser evil.
        with contextlib.suppress(OSError):
            os.unlink(aside)  # noqa: PTH108
    return True


def _fill_new(target: str, content: bytes) -> bool:
    """For a disk without hard links: the name is taken first, and then filled."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return True


def _put_new(place: ObjectPath, content: bytes) -> bool:
    """A put on condition, repeated if nobody knows what became of it; a refusal by our own first try is a success."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    store = place.store
    writer = str(uuid4())
    end_s = time.monotonic() + _REPEAT_S
    for attempt in range(_ATTEMPTS):
        try:
            with place.asking("write"):
                store.put(place.key, content, mode="create", attributes={_WRITER: writer}, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return _is_ours(place, writer, content)
        except StorageError:
            # The connection may have been cut behind the put.
            if attempt == _ATTEMPTS - 1 or time.monotonic() > end_s:
                raise
            time.sleep(0.1 * 2**attempt)
        else:
            return True
    raise AssertionError("the last attempt returns or raises")


def _is_ours(place: ObjectPath, writer: str, content: bytes) -> bool:
    """Whether the object that is in the way was put by this very call: a request whose answer is lost is repeated."""
    store = place.store
    try:
        with place.asking("read"):
            found = store.get(place.key)
            attributes = dict(found.attributes)
            return attributes.get(_WRITER) == writer and bytes(found.bytes()) == content
    except FileNotFoundError:
        return False  # whoever was first has removed it: the name was taken all the same
