"""Files that could not be read and were set aside, so that the stream can go on.

    <checkpoint>/sources/<i>/bad/<offset>-<number>    one JSON: {"path":"file:///…","modifiedMs":…,"error":"…"}

The file itself stays where it is. It is written down before the batch goes on without it, so a batch that is run again
leaves it out again, even if the file was mended meanwhile. To have it read, put it back under another name.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass

from riacho.server.streaming.checkpoint import write_new
from riacho.server.streaming.sources.file_log import FileEntry
from riacho.storage import Place


@dataclass(frozen=True)
class BadFile:
    """One file that was set aside. `offset`: the log entry that had taken it."""

    path: str
    modified_ms: int
    offset: int
    error: str


class BadFiles:
    """The files that one source set aside. Used from several threads."""

    def __init__(self, log_dir: Place) -> None:
        self._folder = log_dir / "bad"
        self._lock = threading.Lock()
        self._known = {(bad.path, bad.offset): bad for bad in self._restore()}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, entry: FileEntry) -> BadFile | None:
        """What was written down of that file, when that log entry was read before."""
        return self._known.get((entry.url, entry.offset))

    def add(self, entry: FileEntry, error: str) -> BadFile:
        """Write down that a file could not be read; durable when this returns."""
        bad = BadFile(entry.url, entry.modified_ms, entry.offset, error)
        with self._lock:
            name = f"{bad.offset}-{len(self._known)}"
            write_new(self._folder / name, json.dumps(asdict(bad), ensure_ascii=False))
            self._known[bad.path, bad.offset] = bad
        return bad

    def _restore(self) -> list[BadFile]:
        try:
            files = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []
        return [BadFile(**json.loads(path.read_text(encoding="utf-8"))) for path in files]
