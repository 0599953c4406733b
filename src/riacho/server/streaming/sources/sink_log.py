"""The files of a folder that a file sink writes, by the sink's own log (`_spark_metadata`).

Only files named in the log count: others are leftovers of failed batches. Source: `FileStreamSinkLog`,
`MetadataLogFileIndex`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from riacho.errors import IllegalStateError
from riacho.server.streaming.checkpoint import VERSION
from riacho.server.streaming.sources.listing import FileStatus

FOLDER: Final = "_spark_metadata"
_ENTRY: Final = re.compile(r"(\d+)(\.compact)?")


def has_sink_log(path: str) -> bool:
    return (Path(path) / FOLDER).is_dir()


def sink_files(path: str) -> list[FileStatus]:
    """All files that the log in `path` has added and not deleted.

    Raises IllegalStateError for a log of another version.
    """
    folder = Path(path) / FOLDER
    entries = sorted((int(m[1]), file) for file in folder.iterdir() if (m := _ENTRY.fullmatch(file.name)))
    compacted = [offset for offset, file in entries if file.suffix == ".compact"]
    first = compacted[-1] if compacted else 0
    files: dict[str, FileStatus] = {}
    for offset, file in entries:
        if offset < first:
            continue
        version, *lines = file.read_text(encoding="utf-8").split("\n")
        if version != VERSION:
            raise IllegalStateError(f"Log file {file} is of version {version!r}; riacho reads {VERSION}.")
        for line in lines:
            entry = json.loads(line)
            local = path_of_url(entry["path"])
            if entry["action"] == "delete":
                files.pop(local, None)
            else:
                files[local] = FileStatus(entry["modificationTime"], local, entry["size"])
    return list(files.values())


def path_of_url(url: str) -> str:
    """The local path of a `file:` URL, or of a plain path."""
    return unquote(re.sub(r"^file:/+", "/", url)) if url.startswith("file:") else url
