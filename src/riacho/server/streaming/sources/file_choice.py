"""Which of the new files a batch takes (Spark: `FileStreamSource.fetchMaxOffset`). Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riacho.server.streaming.sources.file_options import StreamOptions
from riacho.server.streaming.sources.listing import FileStatus


@dataclass(frozen=True)
class Choice:
    """`taken` goes into the batch, `kept` waits for the next one without listing again."""

    taken: Sequence[FileStatus]
    kept: Sequence[FileStatus] = ()


def in_order(files: Sequence[FileStatus], *, latest_first: bool) -> list[FileStatus]:
    """By modification time, oldest first, or newest first; files of the same time by path."""
    if latest_first:
        return sorted(files, key=lambda file: (-file.modified_ms, file.path))
    return sorted(files)


def choose(files: Sequence[FileStatus], options: StreamOptions, *, everything: bool, may_keep: bool) -> Choice:
    """The files of a batch out of the new `files`, which are in order.

    `everything`: no limits. `may_keep`: whether the rest may wait without listing again; a small rest never does, since
    newer files should join it.
    """
    if everything or (options.max_files is None and options.max_bytes is None):
        return Choice(files)
    count = len(files) if options.max_files is None else min(options.max_files, len(files))
    if options.max_bytes is not None:
        count = min(count, count_within(files, options.max_bytes))
    taken, rest = files[:count], files[count:]
    too_few = options.max_files is not None and len(rest) < options.max_files * options.discard_ratio
    if options.max_files is None and options.max_bytes is not None:
        too_few = sum(file.size for file in rest) < options.max_bytes * options.discard_ratio
    return Choice(taken, rest[: options.max_cached] if may_keep and not too_few else ())


def count_within(files: Sequence[FileStatus], max_bytes: int) -> int:
    """How many of the first files are not larger than `max_bytes` together; at least one."""
    total = 0
    for count, file in enumerate(files):
        total += file.size
        if count and total > max_bytes:
            return count
    return len(files)
