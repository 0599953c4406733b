"""Plans that are shown before they are carried out: what `riacho topics` and `riacho mongo` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli.failures import FAILED, CommandError
from riacho.cli.terminal import aside, counted, notes, output


class Step(Protocol):
    """One thing that a plan would do, or cannot do, or finds done."""

    @property
    def name(self) -> str:
        """What it is done to."""


S = TypeVar("S", bound=Step)
Mark = tuple[str, str]
"""A sign and its style."""
CREATE: Final[Mark] = ("+", "green")
CHANGE: Final[Mark] = ("~", "yellow")
IMPOSSIBLE: Final[Mark] = ("✗", "bold red")
UNCHANGED: Final[Mark] = ("=", "dim")


@dataclass(frozen=True)
class PlanView(Generic[S]):
    """How the plans of a command are shown and carried out.

    `noun`: what its steps are about. `marks`: one for each class of step, by its name. `told`: what a step does.
    """

    noun: str
    marks: Mapping[str, Mark]
    told: Callable[[S], Text]

    def show(self, steps: Sequence[S]) -> None:
        """Print the plan. Exits with 1 behind it if one of the steps is impossible."""
        table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
        for name in ("", self.noun, "what"):
            table.add_column(name, overflow="fold")
        for step in steps:
            mark, style = self._mark(step)
            table.add_row(Text(mark, style=style), Text(step.name), self.told(step))
        output().print(table)
        changes = sum(self._mark(step) in (CREATE, CHANGE) for step in steps)
        if any(self._mark(step) == IMPOSSIBLE for step in steps):
            aside(notes(), "not all of it can be done, so nothing is")
            raise typer.Exit(FAILED)
        aside(notes(), f"{counted(changes, 'step')} to do" if changes else "nothing to do: all is as the file says")

    def carry_out(self, steps: Sequence[S], do: Callable[[S], None], *, yes: bool) -> None:
        """Do what a plan that was shown has to do; ask first unless `yes`.

        Raises CommandError if there is nobody to ask, and what `do` raises.
        """
        todo = [step for step in steps if self._mark(step) != UNCHANGED]
        if not todo:
            return
        if not yes:
            if not sys.stdin.isatty():
                raise CommandError("there is something to do, and nobody to ask", "read the plan, and add --yes")
            typer.confirm(f"Do {counted(len(todo), 'step')}?", abort=True, err=True)
        for step in todo:
            do(step)
            aside(notes(), f"done: {step.name}: {self.told(step).plain.splitlines()[0]}")

    def _mark(self, step: S) -> Mark:
        return self.marks[type(step).__name__]
