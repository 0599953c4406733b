"""The log of a file sink (`_spark_metadata`): the files of a folder that count, batch by batch, in Spark's format.

    <folder>/_spark_metadata/<N>           v1, then one JSON per file that batch N added
    <folder>/_spark_metadata/<N>.compact   see `compact_log`

Only files named in the log count: others are leftovers of failed batches. Streams and batches that read such a folder
read it by its log. Sources: `FileStreamSinkLog`, `MetadataLogFileIndex`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import pyarrow as pa

from riacho.clock import SystemClock
from riacho.server.streaming.compact_log import CompactLog, EntryFormat
from riacho.server.streaming.sources.listing import FileStatus
from riacho.storage import is_object, one_name, place_at

FOLDER: Final = "_spark_metadata"
COLUMNS: Final = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modificationTime", pa.int64()),
        ("action", pa.string()),
        ("writer", pa.string()),
    ]
)
"""What matters of an entry: the values of a `SinkEntry`, in its order."""
_BLOCK_BYTES: Final = 32 << 20
"""What Hadoop calls the size of a block of a local disk."""


@dataclass(frozen=True)
class SinkEntry:
    """A file that a batch added, or, with another `action`, that somebody has taken out again.

    `writer`: the query and the batch, if the folder has several writers; Spark does not look at it.
    """

    url: str
    size: int
    modified_ms: int
    action: str = "add"
    writer: str | None = None

    def to_json(self) -> str:
        entry = {
            "path": self.url,
            "size": self.size,
            "isDir": False,
            "modificationTime": self.modified_ms,
            "blockReplication": 1,
            "blockSize": _BLOCK_BYTES,
            "action": self.action,
        }
        if self.writer is not None:
            entry["writer"] = self.writer
        return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


def has_sink_log(path: str) -> bool:
    return (place_at(path) / FOLDER).is_dir()


def sink_files(path: str) -> list[FileStatus]:
    """All files that the log in `path` has added and not deleted.

    Raises IllegalStateError for a log of another version, or with holes.
    """
    log = CompactLog(place_at(path) / FOLDER, EntryFormat(SinkEntry.to_json, SinkEntry, COLUMNS), SystemClock())
    files: dict[str, FileStatus] = {}
    in_store = is_object(path)
    for entry in log.all_entries(log.latest()):
        local = _named_as(path, path_of_url(entry.url)) if in_store else path_of_url(entry.url)
        if entry.action == "delete":
            files.pop(local, None)
        else:
            files[local] = FileStatus(entry.modified_ms, local, entry.size)
    return list(files.values())


def _named_as(folder: str, file: str) -> str:
    """A file below a folder by the folder's scheme: whoever wrote the log may have used another (`s3://`)."""
    one, root = one_name(file), one_name(folder)
    return folder + one[len(root) :] if one.startswith(f"{root}/") else file


def path_of_url(url: str) -> str:
    """The path of a `file:` or `s3a:` URL, or of a plain path."""
    if url.startswith("file:///") and "%" not in url and not url.startswith("file:////"):
        return url[7:]  # as nearly all are
    if is_object(url):
        return unquote(url) if "%" in url else url
    return unquote(re.sub(r"^file:/+", "/", url)) if url.startswith("file:") else url
