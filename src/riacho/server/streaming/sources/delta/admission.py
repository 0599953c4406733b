"""How much of what is there goes into one batch. Source: Delta's `AdmissionLimits`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from riacho.server.streaming.sources.delta.changes import FeedEntry, VersionEntries
from riacho.server.streaming.sources.delta.offsets import DeltaOffset


class Admission:
    """A budget of files and bytes. A file is taken while any of the budget is left, so a batch takes at least one."""

    def __init__(self, max_files: int | None, max_bytes: int | None) -> None:
        self._files = max_files
        self._bytes = max_bytes
        self._touched = False

    @property
    def has_room(self) -> bool:
        return (self._files is None or self._files > 0) and (self._bytes is None or self._bytes > 0)

    def admits(self, entry: FeedEntry) -> bool:
        """Whether the entry goes in. The places before and after files cost nothing."""
        self._touched = True
        if entry.action is None:
            return True
        room = self.has_room
        self._take(1, entry.action.size)
        return room

    def admits_all(self, entries: Sequence[FeedEntry]) -> bool:
        """Whether all of them go in together; the first to ask always may, or it would never."""
        files = [entry.action for entry in entries if entry.action is not None]
        size = sum(action.size for action in files)
        fits = (self._files is None or self._files >= len(files)) and (self._bytes is None or self._bytes >= size)
        allowed = fits or not self._touched
        self._touched = True
        self._take(len(files), size)
        return allowed

    def _take(self, files: int, size: int) -> None:
        if self._files is not None:
            self._files -= files
        if self._bytes is not None:
            self._bytes -= size


def last_admitted(
    versions: Iterable[VersionEntries], admission: Admission, bound: DeltaOffset | None, *, look_ahead: bool
) -> FeedEntry | None:
    """The entry at which a batch ends that begins at the first of `versions`; None if there is nothing for it.

    `bound`: the batch must not go beyond it. `look_ahead`: a full batch still runs over versions without files, as a
    plain stream does and a change feed does not.
    """
    last: FeedEntry | None = None
    for version in versions:
        if not look_ahead and not admission.has_room:
            break
        within = [entry for entry in version.entries if bound is None or entry.position <= bound.position]
        if version.indivisible:
            taken = within if admission.admits_all(within) else []
        else:
            taken = list(takewhile(admission.admits, within))
        last = taken[-1] if taken else last
        if len(taken) < len(version.entries):
            break
    return last
