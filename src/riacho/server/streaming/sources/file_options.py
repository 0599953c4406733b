"""The options that say how a stream takes its files (Spark: `FileStreamOptions`)."""

from __future__ import annotations

from dataclasses import dataclass

from riacho.errors import IllegalArgumentError
from riacho.options import Options


@dataclass(frozen=True)
class StreamOptions:
    """Checked values. Ages are in milliseconds, sizes in bytes; None is "no limit"."""

    max_files: int | None
    max_bytes: int | None
    max_age_ms: int
    latest_first: bool
    name_only: bool
    max_cached: int
    discard_ratio: float

    @classmethod
    def of(cls, options: Options) -> StreamOptions:
        """Raises IllegalArgumentError for a value out of range, and for both limits at once."""
        if options.is_given("maxFilesPerTrigger") and options.is_given("maxBytesPerTrigger"):
            raise IllegalArgumentError(
                "Options 'maxFilesPerTrigger' and 'maxBytesPerTrigger' can't be both set at the same time"
            )
        return cls(
            max_files=options.positive("maxFilesPerTrigger"),
            max_bytes=options.positive("maxBytesPerTrigger"),
            max_age_ms=options.duration_ms("maxFileAge") or 0,
            latest_first=options.flag("latestFirst"),
            name_only=options.flag("fileNameOnly"),
            max_cached=options.positive("maxCachedFiles", least=0) or 0,
            discard_ratio=options.ratio("discardCachedInputRatio"),
        )
