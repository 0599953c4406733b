"""Which files have been taken already, forgetting the old ones.

A file is new if it is not known and not older than the newest known file by more than the age limit. Only the times of
files count, never the clock. Source: `FileStreamSource.SeenFilesMap`.

There may be millions, so they are kept as names by folder, and a folder's names are told apart all at once. Files that
are too old are forgotten only when they have gone: those that are still there would have to be looked at each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import filterfalse
from typing import Final

from riacho.storage import one_name

AGELESS = (1 << 63) - 1
"""No age limit, in milliseconds."""

_MINUTE_MS: Final = 60_000
_FORGET_AT_LEAST: Final = 1000


class SeenFiles:
    """Taken files with their modification times.

    `name_only`: a file is known by its name, in whatever folder. `exact`: times are kept to the millisecond, else to
    the minute, which is enough to forget by. A folder of object storage is the same by whatever scheme it is named.
    """

    def __init__(self, max_age_ms: int, *, name_only: bool = False, exact: bool = False) -> None:
        self._max_age_ms = max_age_ms
        self._name_only = name_only
        self._unit_ms = 1 if exact else _MINUTE_MS
        self._names: dict[str, dict[str, int]] = {}
        self._times: dict[int, int] = {}
        self._latest_ms = 0
        self._purged_ms = 0
        self._count = 0
        self._forgot_at = (0, 0)

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))

    def __contains__(self, path: str) -> bool:
        folder, name = self._key(path)
        return name in self._names.get(folder, ())

    def unknown(self, folder: str, names: Iterable[str]) -> list[str]:
        """Those of a folder's names that are not of taken files."""
        known = self._names.get("" if self._name_only else one_name(folder))
        return list(names) if known is None else list(filterfalse(known.__contains__, names))

    def modified_ms(self, path: str) -> int | None:
        """The modification time that a taken file had; to the minute unless `exact`."""
        folder, name = self._key(path)
        time = self._names.get(folder, {}).get(name)
        return None if time is None else time * self._unit_ms

    def add(self, path: str, modified_ms: int) -> None:
        self.add_all((path,), (modified_ms,))

    def add_all(self, paths: Iterable[str], modified_ms: Iterable[int]) -> None:
        """Several at once; `modified_ms` are their times."""
        times, unit, latest, count = self._times, self._unit_ms, self._latest_ms, 0
        at: str | None = None
        names: dict[str, int] = {}
        for path, ms in zip(paths, modified_ms, strict=True):
            folder, _, name = path.rpartition("/")
            if folder != at:
                at, names = folder, self._names.setdefault("" if self._name_only else one_name(folder), {})
            time = ms // unit
            names[name] = time if unit == 1 else times.setdefault(time, time)  # one object for equal times
            latest = max(latest, ms)
            count += 1
        self._latest_ms = latest
        self._count += count

    def is_recent(self, modified_ms: int) -> bool:
        """Whether a file of that time would still be known if it had been taken."""
        return modified_ms >= self._purged_ms

    def purge(self) -> None:
        """Let the files that are too old be so. Until this is called none of them counts as too old."""
        self._purged_ms = self._latest_ms - self._max_age_ms

    def forgettable(self) -> list[str]:
        """The folders with files to `forget`, once there may be so many that it is worth the while.

        With `name_only`, the one folder "" stands for all.
        """
        count, purged_ms = self._forgot_at
        due = self._count - count > max(len(self) // 8, _FORGET_AT_LEAST)
        if not due or self._purged_ms - purged_ms <= self._max_age_ms // 8:
            return []
        self._forgot_at = (self._count, self._purged_ms)
        return list(self._names)

    def forget(self, folder: str, there: Iterable[str] = ()) -> None:
        """Forget a folder's files that are too old, but for those `there`."""
        stay = frozenset(there)
        oldest = self._purged_ms // self._unit_ms
        left = {name: time for name, time in self._names[folder].items() if time >= oldest or name in stay}
        if left:
            self._names[folder] = left
        else:
            del self._names[folder]

    def _key(self, path: str) -> tuple[str, str]:
        folder, _, name = path.rpartition("/")
        return ("" if self._name_only else one_name(folder)), name
