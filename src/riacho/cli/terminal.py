"""What all commands print with: consoles that know whether a person is looking, and numbers as people read them."""

from __future__ import annotations

import os
import sys
from typing import TextIO
from unicodedata import category

from rich.console import Console
from rich.text import Text

PLAIN_WIDTH = 120
"""Columns where nobody is looking: a file or a pipe has no width of its own, and rich would take 80."""

_KIBI = 1024
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def output() -> Console:
    """For what was asked for. Without a terminal: no colours, no moving parts."""
    return _console(sys.stdout)


def notes() -> Console:
    """For what is said beside it (progress, warnings, errors): standard error, so that output can be piped."""
    return _console(sys.stderr)


def warn(words: str) -> None:
    """Print a warning, on one line of standard error."""
    notes().print(Text.assemble(("warning: ", "yellow"), words), soft_wrap=True)


def aside(console: Console, words: str) -> None:
    """Print a line of lesser importance: dim, as it is, and not broken, so that a path in it can be copied."""
    console.print(Text(words, style="dim"), soft_wrap=True)


def _console(file: TextIO) -> Console:
    looked_at = file.isatty() or "COLUMNS" in os.environ
    return Console(file=file, highlight=False, width=None if looked_at else PLAIN_WIDTH)


def duration(seconds: float) -> str:
    """`0.04 s`, `12.3 s`, `2 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // _MINUTE_S} min {int(seconds) % _MINUTE_S:02} s"


def size(count: int) -> str:
    """Bytes: `812 B`, `3.4 KiB`, `120 MiB`."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < _KIBI:
            break
        amount, unit = amount / _KIBI, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def ago(seconds: float) -> str:
    """How long since something happened: `just now`, `40 s ago`, `3 min ago`, `5 h ago`, `12 days ago`."""
    if seconds < 2:
        return "just now"
    if seconds < _MINUTE_S:
        return f"{int(seconds)} s ago"
    if seconds < _HOUR_S:
        return f"{int(seconds / _MINUTE_S)} min ago"
    if seconds < 2 * _DAY_S:
        return f"{int(seconds / _HOUR_S)} h ago"
    return f"{int(seconds / _DAY_S)} days ago"


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,200 rows`: a noun whose plural ends in s."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def printable(text: str) -> str:
    """Text from outside, as people may see it: it does not move the cursor, nor colour or name the terminal."""
    if text.isprintable():
        return text
    return "".join(c if category(c) not in {"Cc", "Cs"} or c in "\n\t" else ascii(c)[1:-1] for c in text)
