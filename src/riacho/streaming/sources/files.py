"""The file source: each new file of a folder is read once.

A trigger lists the folder, chooses files by the limits and writes them to the source's own log *before* the batch is
logged; the offset is the number of that log entry. A batch is always read by the log, never by the folder, so it is the
same again after a crash. Source: `org.apache.spark.sql.execution.streaming.runtime.FileStreamSource`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from riacho.errors import SparkError, SparkGeneralError, UnsupportedOperationError
from riacho.ids import Offset
from riacho.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.streaming.sources.file_choice import choose, in_order
from riacho.streaming.sources.file_cleaner import cleaner
from riacho.streaming.sources.file_log import FileEntry, FileLog
from riacho.streaming.sources.file_offsets import from_offset, to_offset
from riacho.streaming.sources.file_options import StreamOptions
from riacho.streaming.sources.file_scan import Layout, scan
from riacho.streaming.sources.formats.base import DecoderContext, FileFormat, file_url
from riacho.streaming.sources.formats.options import Options
from riacho.streaming.sources.listing import FileStatus, Listing, file_status, is_glob
from riacho.streaming.sources.seen_files import AGELESS, SeenFiles
from riacho.streaming.sources.sink_log import has_sink_log, local_path, sink_files

DAY_MS = 86_400_000


@dataclass(frozen=True)
class FileSource:
    """A folder of files of one format. Made by `file_formats.from_read`."""

    format: FileFormat
    path: str
    schema: pa.Schema
    options: Options
    has_metadata: bool = True
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.format.name)

    def open(self, context: SourceContext) -> FileReader:
        return FileReader(self, context)


class FileReader:
    """See `sources.base.SourceReader`."""

    def __init__(self, source: FileSource, context: SourceContext) -> None:
        self.description = f"FileStreamSource[file:{source.path}]"
        self._options = StreamOptions.of(source.options)
        self._listing = Listing.of(source.path, source.options)
        self._clean = cleaner(source.options, source.path)
        self._log = FileLog(context.log_dir, context.clock)
        self._layout = Layout(
            source.schema, base_path(source.path, source.options), with_metadata=context.with_metadata
        )
        self._decoding = DecoderContext(lambda: context.clock.now_ms() // DAY_MS)
        self._source = source
        # A column type or an option that the format cannot do should stop the query before its first batch.
        source.format.decoder(source.schema, source.options, self._decoding)
        self._from_sink: bool | None = False if is_glob(source.path) else None
        self._frozen: list[FileStatus] | None = None
        self._kept: Sequence[FileStatus] = ()
        self._known: dict[str, FileStatus] = {}
        self._current = self._log.latest()
        ageless = self._options.latest_first and (self._options.max_files or self._options.max_bytes)
        identity = _file_name if self._options.name_only else str
        self._seen = SeenFiles(AGELESS if ageless else self._options.max_age_ms, identity)
        for entry in self._log.all_entries(self._current) if self._current >= 0 else ():
            self._seen.add(local_path(entry.url), entry.modified_ms)
        self._seen.purge()

    def prepare_available_now(self) -> None:
        self._frozen = self._new_files()

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        new = self._kept or (self._new_files() if self._frozen is None else self._unseen(self._frozen))
        may_keep = not self._options.latest_first and self._frozen is None
        choice = choose(new, self._options, everything=limit.everything, may_keep=may_keep)
        self._kept = choice.kept
        for file in choice.taken:
            self._seen.add(file.path, file.modified_ms)
        self._seen.purge()
        if choice.taken:
            self._current += 1
            self._log.add(
                self._current, [FileEntry(file_url(f.path), f.modified_ms, self._current) for f in choice.taken]
            )
            self._known = {file.path: file for file in choice.taken}
        return start if self._current < 0 else to_offset(self._current)

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        entries = self._log.between(from_offset(start), from_offset(end))
        files = [self._status(entry) for entry in entries]
        layout = self._layout.for_files(files)
        decoder = self._source.format.decoder(layout.in_files, self._source.options, self._decoding)
        return SourceData(layout.full, scan(files, layout, lambda file: decoder.decode(file.path)))

    def commit(self, end: Offset) -> None:
        if self._clean is not None:
            offset = from_offset(end)
            for entry in self._log.between(offset - 1, offset):
                self._clean(local_path(entry.url))

    def latest(self) -> Offset | None:
        return None if self._current < 0 else to_offset(self._current)

    def stop(self) -> None:
        """Nothing is kept open between batches."""

    # -- inside

    def _new_files(self) -> list[FileStatus]:
        """The files that are there and have not been taken, in order."""
        if self._is_sink_folder():
            return self._unseen(in_order(sink_files(self._listing.path), latest_first=self._options.latest_first))
        found = (file_status(path) for path in self._listing.paths() if path not in self._seen)
        files = [file for file in found if file is not None and self._seen.is_recent(file.modified_ms)]
        return in_order(files, latest_first=self._options.latest_first)

    def _unseen(self, files: Sequence[FileStatus]) -> list[FileStatus]:
        return [file for file in files if file.path not in self._seen and self._seen.is_recent(file.modified_ms)]

    def _is_sink_folder(self) -> bool:
        """Whether a file sink writes the folder. Unknown until there is a file or a log."""
        if self._from_sink is None and has_sink_log(self._listing.path):
            if self._clean is not None:
                raise UnsupportedOperationError(
                    "Clean up source files is not supported when reading from the output directory of FileStreamSink."
                )
            self._from_sink = True
        return bool(self._from_sink)

    def _status(self, entry: FileEntry) -> FileStatus:
        """What is known of a logged file. Raises FAILED_READ_FILE.FILE_NOT_EXIST if it has gone."""
        path = local_path(entry.url)
        known = self._known.get(path) or file_status(path)
        if known is None:
            raise missing_file(entry.url)
        return known


def missing_file(url: str) -> SparkError:
    """The error of a file that was taken into a batch and is no longer there."""
    return SparkGeneralError.of(
        "FAILED_READ_FILE.FILE_NOT_EXIST",
        f"Encountered error while reading file {url}. File does not exist. It is possible the underlying files have been "
        "updated. The batch needs the file again: put it back, or start with a new checkpoint.",
        sql_state="KD001",
        path=url,
    )


def base_path(path: str, options: Options) -> str | None:
    """Where partition folders start to count: None if they do not count at all.

    Without `basePath`, the folder itself; a glob has none, as in Spark.
    """
    if options.flag("recursiveFileLookup"):
        return None
    given = options.maybe("basePath")
    if given is not None:
        return local_path(given)
    return None if is_glob(path) else path


def _file_name(path: str) -> str:
    return Path(path).name
