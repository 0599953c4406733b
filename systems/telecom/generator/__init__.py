"""What an internet provider's devices write, for `riacho generate telecom`: seeded, repeatable, vectorised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from riacho.cli.systems import START, Destination, Words, is_project, shown

from .source import Damage, LandedFile, TelecomOptions
from .source import generate as write

__all__ = ["ABOUT", "EXAMPLES", "TARGET", "WORDS", "Options", "generate"]

ABOUT = "Devices of an internet provider connect and disconnect, written as a Parquet file every few seconds."
EXAMPLES = """[bold]Examples[/]
  riacho generate telecom systems/telecom/landing          [dim]until Ctrl-C[/]
  riacho generate telecom landing --batches 48 --no-wait   [dim]at once[/]
  riacho generate telecom landing --interval 0.5           [dim]faster[/]
  riacho generate telecom landing --damage 6:truncated     [dim]a bad file[/]
"""

Options = TelecomOptions


def generate(target: str, options: TelecomOptions) -> Iterator[LandedFile]:
    """See `source.generate`; `target` is a folder."""
    return write(Path(target), options)


def _next_command(target: str) -> str:
    """How to run the system on what has landed; without a setting, if that is where it looks."""
    directory = Path(target)
    if directory.name == "landing" and is_project(directory.parent):
        return f"riacho run {directory.parent}"
    return f"riacho run {shown(Path(__file__).parents[1])} --conf telecom.landing={directory.absolute()}"


TARGET = Destination("DIRECTORY", "Landing folder; created if missing.", "landing", "file", "below", _next_command)


def _damages(words: list[str] | None) -> tuple[tuple[int, Damage], ...]:
    """`12:truncated` as the number of a batch and what happens to its file. Raises ValueError."""
    found: list[tuple[int, Damage]] = []
    for word in words or ():
        batch, _, damage = word.partition(":")
        if not batch.isdecimal() or damage not in list(Damage):
            raise ValueError(f"damage is {word!r}: it must be BATCH:DAMAGE, with DAMAGE one of {', '.join(Damage)}")
        found.append((int(batch), Damage(damage)))
    return tuple(found)


WORDS = {
    "start": START,
    "damage": Words(list[str] | None, "BATCH:DAMAGE", _damages),
}
