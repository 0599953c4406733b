"""The flows of a run on the terminal, as they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from riacho.cli.flows import FlowBoard, FlowStatus, Line
from riacho.cli.terminal import duration

_MARKS = {
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "retried": ("↻", "yellow"),
    "skipped": ("–", "yellow"),
    "note": ("·", "dim"),
}
_MIN_WIDTH = 28


class FlowView:
    """Shows one update: a line for each flow that is over, and below them, on a terminal, what is under way.

    A `quiet` view has lines only for what went wrong.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.board = FlowBoard()
        self._console = console
        self._width = _MIN_WIDTH
        self._status: Status | None = None

    @contextmanager
    def live(self, text: str) -> Iterator[None]:
        """Keep a moving line at the bottom while the block runs, if there is a terminal to move on."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(Text(text, style="dim"), spinner_style="cyan") as self._status:
            yield
        self._status = None

    def event(self, message: str, at: float) -> None:
        """Take in an event of the server."""
        line = self.board.follow(message, at)
        if line is not None and not (self._quiet and line.mark == "done"):
            self.line(line)
        if self._status is not None:
            self._status.update(Text(self._under_way(), style="dim", overflow="ellipsis", no_wrap=True))

    def end(self) -> None:
        """No more events come: tell what has failed for good."""
        for line in self.board.failed:
            self.line(line)

    def line(self, line: Line) -> None:
        """Print `✓ gold.clock   0.05 s`; why something failed goes below."""
        self._width = max(self._width, self.board.name_width)
        mark, style = _MARKS[line.mark]
        if line.mark == "note":
            self._console.print(Padding(Text(f"{mark} {line.subject}", style=style), (0, 0, 0, 2), expand=False))
            return
        took = "" if line.seconds is None else duration(line.seconds)
        text = Text.assemble((f"  {mark} ", style), f"{line.subject:<{self._width}}  {took:>10}")
        below = line.mark in {"failed", "retried"}
        if line.detail and not below:
            text.append(f"  {line.detail}", style="dim")
        text.rstrip()
        self._console.print(text, soft_wrap=True)
        if below and line.detail:
            self._console.print(Padding(Text(line.detail, style=style), (0, 0, 0, 4), expand=False))

    def _under_way(self) -> str:
        done = f"{self.board.count(FlowStatus.COMPLETED)} of {self.board.total} done"
        failed = [f"{line.subject} failed" for line in self.board.failed]
        return " · ".join([done, *failed, ", ".join(self.board.under_way) or "waiting"])
