"""The options that say how a stream takes its files (Spark: `FileStreamOptions`)."""

from __future__ import annotations

from dataclasses import dataclass

from riacho.errors import IllegalArgumentError
from riacho.server.formats.options import Options
from riacho.units import byte_size, time_ms


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
        files, size = options.maybe("maxFilesPerTrigger"), options.maybe("maxBytesPerTrigger")
        if files is not None and size is not None:
            raise IllegalArgumentError(
                "Options 'maxFilesPerTrigger' and 'maxBytesPerTrigger' can't be both set at the same time"
            )
        return cls(
            max_files=None if files is None else parse_positive(files, "maxFilesPerTrigger"),
            max_bytes=None if size is None else parse_positive(size, "maxBytesPerTrigger"),
            max_age_ms=parse_duration_ms(options.text("maxFileAge"), "maxFileAge"),
            latest_first=options.flag("latestFirst"),
            name_only=options.flag("fileNameOnly"),
            max_cached=parse_positive(options.text("maxCachedFiles"), "maxCachedFiles", least=0),
            discard_ratio=_ratio(options.text("discardCachedInputRatio")),
        )


def parse_positive(text: str, name: str, least: int = 1) -> int:
    """A whole number, at least `least`. Raises IllegalArgumentError."""
    if not text.strip().isdigit() or int(text) < least:
        kind = "positive" if least else "non-negative"
        raise IllegalArgumentError(f"Invalid value '{text}' for option '{name}', must be a {kind} integer")
    return int(text)


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1
    if not 0 <= ratio <= 1:
        raise IllegalArgumentError(
            f"Invalid value '{text}' for option 'discardCachedInputRatio', must be a number between 0 and 1"
        )
    return ratio


def parse_duration_ms(text: str, name: str) -> int:
    """`7d`, `12h`, `30 min`: a number and a unit (milliseconds without one). Raises IllegalArgumentError."""
    found = time_ms(text)
    if found is None:
        raise IllegalArgumentError(
            "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour "
            f"(h), or day (d). E.g. 50s, 100ms, or 250us.\nFailed to parse time string: {text} (option {name})"
        )
    return found


def parse_size(text: str, name: str) -> int:
    """`1048576`, `10m`, `2 GB`: a number and a unit (bytes without one). Raises IllegalArgumentError."""
    found = byte_size(text)
    if not found:
        raise IllegalArgumentError(f"Invalid value '{text}' for option '{name}', must be a positive integer")
    return found
