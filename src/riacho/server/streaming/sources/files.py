"""The file source: each new file of a folder is read once (Spark: `FileStreamSource`)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import pyarrow as pa

from riacho.errors import SparkError, SparkGeneralError
from riacho.ids import Offset
from riacho.options import Options
from riacho.paths import qualified
from riacho.server.formats.base import DamagedFileError, Decoded, Decoder, DecoderContext, FileFormat, file_url
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.server.streaming.sources.file_cleaner import cleaner
from riacho.server.streaming.sources.file_intake import Intake, IntakeRules
from riacho.server.streaming.sources.file_log import FileEntry
from riacho.server.streaming.sources.file_options import StreamOptions
from riacho.server.streaming.sources.file_scan import Layout, scan, threads_per_file
from riacho.server.streaming.sources.globs import is_glob
from riacho.server.streaming.sources.listing import FileStatus
from riacho.server.streaming.sources.object_listing import listing_for
from riacho.storage import place_of

_log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class FileSource:
    """A folder of files of one format. Made by `file_formats.from_read`.

    `partitions`: the names, in lower case, of the partition columns that the folder had when the source was made.
    """

    format: FileFormat
    path: str
    schema: pa.Schema
    options: Options
    partitions: frozenset[str] = frozenset()
    has_metadata: bool = True
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.format.name)

    def open(self, context: SourceContext) -> FileReader:
        return FileReader(self, context)


class FileReader:
    """See `sources.base.SourceReader`."""

    def __init__(self, source: FileSource, context: SourceContext) -> None:
        self.description = f"FileStreamSource[{qualified(source.path)}]"
        self._source = source
        self._layout = Layout(
            source.schema,
            base_path(source.path, source.options),
            unused=context.unused,
            with_metadata=context.with_metadata,
            zone=context.zone,
        )
        self._decoding = DecoderContext(lambda: context.clock.now_ms() // DAY_MS, unused=context.unused)
        # A column type or an option that the format cannot do should stop the query before its first batch.
        in_files = pa.schema([field for field in source.schema if field.name.lower() not in source.partitions])
        source.format.decoder(in_files, source.options, replace(self._decoding, unused=frozenset()))
        rules = IntakeRules(StreamOptions.of(source.options), clean=cleaner(source.options, source.path))
        self._intake = Intake(listing_for(source.path, source.options), rules, context.log_dir, context.clock)

    def prepare_available_now(self) -> None:
        self._intake.freeze()

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        return self._intake.next_offset(start, limit)

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        taken = self._intake.files(start, end)
        if self._source.options.flag("ignoreMissingFiles"):
            files = [file for _, file in taken if file is not None]
        else:
            files = [_present(entry, file) for entry, file in taken]
        layout = self._layout.for_files(files)
        decoding = replace(self._decoding, threads=threads_per_file(files))
        decoder = self._source.format.decoder(layout.in_files, self._source.options, decoding)
        decode = until_damage if self._source.options.flag("ignoreCorruptFiles") else whole
        return SourceData(layout.full, scan(files, layout, partial(decode, decoder)))

    def commit(self, end: Offset) -> None:
        self._intake.commit(end)

    def latest(self) -> Offset | None:
        return self._intake.latest()

    def stop(self) -> None:
        """Nothing is kept open between batches."""


def whole(decoder: Decoder, file: FileStatus) -> Decoded:
    """All rows of a file. Raises what its format raises, and as `missing_file` if it has gone since it was found."""
    try:
        yield from decoder.decode(file.path)
    except FileNotFoundError:
        raise missing_file(file_url(file.path)) from None


def until_damage(decoder: Decoder, file: FileStatus) -> Decoded:
    """The rows of a file up to where it cannot be read."""
    try:
        yield from decoder.decode(file.path)
    except (DamagedFileError, OSError, EOFError, pa.ArrowException) as error:
        _log.warning("Left out the rest of the damaged file %s: %s", file.path, error)


def _present(entry: FileEntry, file: FileStatus | None) -> FileStatus:
    """Raises FAILED_READ_FILE.FILE_NOT_EXIST if the file has gone."""
    if file is None:
        raise missing_file(entry.url)
    return file


def missing_file(url: str) -> SparkError:
    """The error of a file that was taken into a batch and is no longer there."""
    return SparkGeneralError.of(
        "FAILED_READ_FILE.FILE_NOT_EXIST",
        f"Encountered error while reading file {url}. File does not exist. It is possible the underlying files have "
        "been updated. The batch needs the file again: put it back, or start with a new checkpoint.",
        sql_state="KD001",
        path=url,
    )


def base_path(path: str, options: Options) -> str | None:
    """Where partition folders start to count: None if they do not count at all.

    Without `basePath`, the folder itself; a glob has none, as in Spark. Raises as `place_of`.
    """
    if options.flag("recursiveFileLookup"):
        return None
    given = options.maybe("basePath")
    if given is not None:
        return str(place_of(given))
    return None if is_glob(path) else path
