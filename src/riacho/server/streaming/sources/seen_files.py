"""Which files have been taken already, forgetting the old ones.

A file is new if it is not known and not older than the newest known file by more than the age limit. Only the times of
files count, never the clock. Source: `FileStreamSource.SeenFilesMap`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

AGELESS = (1 << 63) - 1
"""No age limit, in milliseconds."""


@dataclass
class SeenFiles:
    """Paths of taken files with their modification times (ms). `identity` maps a path to what a file is known by."""

    max_age_ms: int
    identity: Callable[[str], str] = str
    _seen: dict[str, int] = field(default_factory=dict)
    _latest_ms: int = 0
    _purged_ms: int = 0

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, path: str) -> bool:
        return self.identity(path) in self._seen

    def modified_ms(self, path: str) -> int | None:
        """The modification time that a taken file had."""
        return self._seen.get(self.identity(path))

    def add(self, path: str, modified_ms: int) -> None:
        self._seen[self.identity(path)] = modified_ms
        self._latest_ms = max(self._latest_ms, modified_ms)

    def is_recent(self, modified_ms: int) -> bool:
        """Whether a file of that time would still be known if it had been taken."""
        return modified_ms >= self._purged_ms

    def purge(self) -> None:
        """Forget the files that are too old. Until this is called none of them counts as too old."""
        purged_ms = self._latest_ms - self.max_age_ms
        if purged_ms > self._purged_ms:
            self._seen = {path: ms for path, ms in self._seen.items() if ms >= purged_ms}
        self._purged_ms = purged_ms
