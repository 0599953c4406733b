"""Files that are made on this machine and uploaded to an object store, several at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from riacho.errors import StorageError
from riacho.server.files.rows import WrittenFile
from riacho.storage import ObjectPath, upload
from riacho.storage.files import delete_objects

_AT_ONCE: Final = 8


class Uploads:
    """Files on their way from the folder `staging` to `target`, each to the same place below it.

    In a `with` block: if it is left by an error, none of the files stays in the store.
    """

    def __init__(self, target: ObjectPath) -> None:
        self._target = target
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="riacho-upload")
        self._sent: deque[tuple[WrittenFile, Future[int]]] = deque()
        # The owner's pid in the name lets a later start remove what a killed one left behind.
        self.staging = Path(tempfile.mkdtemp(prefix=f"riacho-{os.getpid()}-upload-"))

    def send(self, file: WrittenFile) -> None:
        """Begin the upload of a file below `staging`."""
        assert isinstance(file.path, Path)
        place = self._target / file.path.relative_to(self.staging).as_posix()
        self._sent.append((replace(file, path=place), self._pool.submit(_send, file.path, place)))

    def finish(self) -> list[WrittenFile]:
        """Wait until all are there; what they are now. Raises StorageError."""
        return [replace(file, modified_ms=sending.result()) for file, sending in self._sent]

    def keep(self) -> None:
        """Leave in the store what was uploaded, whatever happens."""
        self._sent.clear()

    def discard(self) -> None:
        """Remove from the store what was uploaded."""
        self._pool.shutdown(cancel_futures=True)
        delete_objects(file.path for file, _ in self._sent if isinstance(file.path, ObjectPath))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._pool.shutdown()
            else:
                with suppress(StorageError):  # what is left does no harm: no log names it
                    self.discard()
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)


def _send(file: Path, place: ObjectPath) -> int:
    """Upload a file; its modification time in the store."""
    upload(file, place)
    file.unlink()
    return place.stat().st_mtime_ns // 1_000_000
