"""What a log keeps: no more than it may, and what readers still need."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from riacho.connectors.ingest import frames
from riacho.connectors.ingest.log import LogFolder

_log = logging.getLogger(__name__)
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class LogRetention:
    """What may go. Whole segments go, oldest first, never the newest.

    `age_ms`, `size_bytes`: what is older, and what is over that size, goes once every reader has committed it.
    `forget_ms`: a reader that has told nothing for so long is waited for no longer. `backlog_bytes`: how large the log
    may get before requests are refused.
    """

    age_ms: int = 7 * _DAY_MS
    size_bytes: int = 1 << 30
    forget_ms: int = 30 * _DAY_MS
    backlog_bytes: int = 10 << 30


def removable(log: LogFolder, keep: LogRetention, now_ms: int) -> list[Path]:
    """The segments that may go now, oldest first.

    Without any reader nothing goes: what nobody has read is kept until somebody does, or the log is full.
    """
    every = frames.segments(log.folder)
    readers = [reader for reader in log.readers() if now_ms - reader.time_ms <= keep.forget_ms]
    if not readers:
        return []
    read = min(reader.offset for reader in readers)
    facts = [(path, path.stat()) for _, path in every]
    over = sum(stat.st_size for _, stat in facts) - keep.size_bytes
    going: list[Path] = []
    for (path, stat), (following, _) in zip(facts, every[1:], strict=False):
        old = now_ms - stat.st_mtime_ns // 1_000_000 > keep.age_ms
        if following > read or not (old or over > 0):
            break
        going.append(path)
        over -= stat.st_size
    return going


def expire(log: LogFolder, keep: LogRetention, now_ms: int) -> int:
    """Remove what may go; how many segments that were."""
    going = removable(log, keep, now_ms)
    for path in going:
        path.unlink(missing_ok=True)
        _log.info("%s is removed: every reader has read it", path)
    return len(going)
