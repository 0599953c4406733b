"""Taking new files: list, choose, log. What the file source and `cloudFiles` have in common.

A trigger lists the folder, chooses files by the limits and writes them to the source's own log *before* the batch is
logged; the offset is the number of that log entry. A batch is always read by the log, never by the folder, so it is the
same again after a crash. Source: `org.apache.spark.sql.execution.streaming.runtime.FileStreamSource`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from riacho.clock import Clock
from riacho.errors import UnsupportedOperationError
from riacho.ids import Offset
from riacho.server.formats.base import file_url
from riacho.server.streaming.checkpoint import write_new
from riacho.server.streaming.sources.base import ReadLimit
from riacho.server.streaming.sources.file_choice import choose, in_order
from riacho.server.streaming.sources.file_log import FileEntry, FileLog
from riacho.server.streaming.sources.file_offsets import from_offset, to_offset
from riacho.server.streaming.sources.file_options import StreamOptions
from riacho.server.streaming.sources.globs import is_glob
from riacho.server.streaming.sources.listing import FileStatus, file_status
from riacho.server.streaming.sources.object_listing import Listing, ObjectListing
from riacho.server.streaming.sources.seen_files import AGELESS, SeenFiles
from riacho.server.streaming.sources.sink_log import has_sink_log, path_of_url, sink_files
from riacho.storage import Place, is_object, place_of

_WHOLE_EVERY: Final = 8
"""One in so many incremental listings is a whole one, as Auto Loader does it."""
_EXISTING: Final = "existing"
"""The log's file of those files that were there before the first start and are not to be read."""


@dataclass(frozen=True)
class IntakeRules:
    """How files are taken.

    `overwrites`: a file that changed counts as new. `skip_existing`: files that are there at the very first start are
    never read. `clean`: what to do with a file after its batch is committed. `incremental`: new files come behind all
    others in the order of their paths, so that an object store need not list those before, but now and then.
    """

    stream: StreamOptions
    overwrites: bool = False
    skip_existing: bool = False
    clean: Callable[[str], None] | None = None
    incremental: bool = False


class Intake:
    """The files of one running source. Its methods are those of a `SourceReader`, but for `read`."""

    def __init__(self, listing: Listing, rules: IntakeRules, log_dir: Place, clock: Clock) -> None:
        self._listing = listing
        self._rules = rules
        self._log = FileLog(log_dir, clock)
        self._from_sink: bool | None = False if is_glob(listing.path) else None
        self._frozen: list[FileStatus] | None = None
        self._kept: Sequence[FileStatus] = ()
        self._all_taken = False
        self._taken: dict[str, FileStatus] = {}
        self._current = self._log.latest()
        self._listings = 0
        self._all_before: str | None = None
        self._seen = self._restored(log_dir)

    def freeze(self) -> None:
        """From now on only the files that are there now (`availableNow`).

        For a folder that a file sink writes, raises UnsupportedOperationError if files are to be cleaned up, and as
        `sink_files`.
        """
        self._frozen = self._new_files()

    def next_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """Take the files of the next batch, if there are any, and log them.

        Raises IllegalStateError if another query uses the checkpoint, and as `freeze`.
        """
        if self._all_taken and self._listing.unchanged():
            return self._offset_after(start)
        new = self._kept or (self._new_files() if self._frozen is None else self._only_new(self._frozen))
        may_keep = not self._rules.stream.latest_first and self._frozen is None
        choice = choose(new, self._rules.stream, everything=limit.everything, may_keep=may_keep)
        self._kept = choice.kept
        # A file may be overwritten without a change to its folder, and a sink's log is not in the folder itself.
        simple = not self._rules.overwrites and self._frozen is None and not self._from_sink
        self._all_taken = simple and len(choice.taken) == len(new)
        self._go_behind(choice.taken, new)
        for file in choice.taken:
            self._seen.add(file.path, file.modified_ms)
        self._seen.purge()
        self._forget_gone()
        if choice.taken:
            self._current += 1
            entries = [FileEntry(file_url(file.path), file.modified_ms, self._current) for file in choice.taken]
            self._log.add(self._current, entries)
            self._taken = {entry.url: file for entry, file in zip(entries, choice.taken, strict=True)}
        return self._offset_after(start)

    def _go_behind(self, taken: Sequence[FileStatus], new: Sequence[FileStatus]) -> None:
        """Note up to which path all files have been taken."""
        if not self._rules.incremental or not taken:
            return
        chosen = {file.path for file in taken}
        first_left = min((file.path for file in new if file.path not in chosen), default=None)
        before = [path for path in chosen if first_left is None or path < first_left]
        self._all_before = max([*before, self._all_before or ""]) or None

    def _offset_after(self, start: Offset | None) -> Offset | None:
        return start if self._current < 0 else to_offset(self._current)

    def files(self, start: Offset | None, end: Offset) -> list[tuple[FileEntry, FileStatus | None]]:
        """The files in (start, end], in the order they were taken; None for one that is no longer there.

        Raises IllegalStateError for an offset of another source, and as `FileLog.between`.
        """
        entries = self._log.between(from_offset(start), from_offset(end))
        return [(entry, self._taken.get(entry.url) or file_status(path_of_url(entry.url))) for entry in entries]

    def commit(self, end: Offset) -> None:
        """Clean up the files that the last batch took. Raises as `files`."""
        if self._rules.clean is not None:
            offset = from_offset(end)
            for entry in self._log.between(offset - 1, offset):
                self._rules.clean(path_of_url(entry.url))

    def latest(self) -> Offset | None:
        return None if self._current < 0 else to_offset(self._current)

    def _restored(self, log_dir: Place) -> SeenFiles:
        """What earlier runs took."""
        stream = self._rules.stream
        ageless = stream.latest_first and (stream.max_files is not None or stream.max_bytes is not None)
        age_ms = AGELESS if ageless else stream.max_age_ms
        seen = SeenFiles(age_ms, name_only=stream.name_only, exact=self._rules.overwrites)
        if self._rules.skip_existing:
            for url, modified_ms in self._existing(log_dir / _EXISTING):
                seen.add(path_of_url(url), modified_ms)
        for urls, times in self._log.all_files(self._current) if self._current >= 0 else ():
            seen.add_all(map(path_of_url, urls), times)
        seen.purge()
        return seen

    def _existing(self, path: Place) -> list[tuple[str, int]]:
        """The files of the very first start, found and written down if this is it."""
        try:
            return [tuple(pair) for pair in json.loads(path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            pairs = [(file_url(file.path), file.modified_ms) for file in self._listing.files()]
            write_new(path, json.dumps(pairs))
            return pairs

    def _new_files(self) -> list[FileStatus]:
        """The files that are there and have not been taken, in order."""
        found = sink_files(self._listing.path) if self._is_sink_folder() else list(self._listed())
        return in_order(self._only_new(found), latest_first=self._rules.stream.latest_first)

    def _listed(self) -> Iterator[FileStatus]:
        known = None if self._rules.overwrites else self._seen
        if not isinstance(self._listing, ObjectListing) or not self._rules.incremental:
            return self._listing.files(known)
        whole = self._listings % _WHOLE_EVERY == 0
        self._listings += 1
        return self._listing.files(known, None if whole else self._all_before)

    def _forget_gone(self) -> None:
        """Forget taken files that are too old and no longer there."""
        for folder in self._seen.forgettable():
            self._seen.forget(folder, _names(folder))

    def _only_new(self, files: Sequence[FileStatus]) -> list[FileStatus]:
        return [file for file in files if self._is_new(file)]

    def _is_new(self, file: FileStatus) -> bool:
        if not self._seen.is_recent(file.modified_ms):
            return False
        if file.path not in self._seen:
            return True
        return self._rules.overwrites and self._seen.modified_ms(file.path) != file.modified_ms

    def _is_sink_folder(self) -> bool:
        """Whether a file sink writes the folder. Unknown until there is a log."""
        if self._from_sink is None and has_sink_log(self._listing.path):
            if self._rules.clean is not None:
                raise UnsupportedOperationError(
                    "Clean up source files is not supported when reading from the output directory of FileStreamSink."
                )
            self._from_sink = True
        return bool(self._from_sink)


def _names(folder: str) -> Sequence[str]:
    """The names in a folder; none if it is not there, or no folder of its own."""
    if is_object(folder):
        return [place.name for place in place_of(folder).iterdir()]
    try:
        return os.listdir(folder) if folder else ()  # noqa: PTH208 - names, a million a second
    except OSError:
        return ()
