"""`riacho demo`: a system from its first file to its answers, in one go."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from riacho.cli import options, systems, tables
from riacho.cli.answers import print_answers
from riacho.cli.child import serving
from riacho.cli.flows import FlowStatus
from riacho.cli.live_update import LiveUpdate
from riacho.cli.pipeline import Selection, update
from riacho.cli.project import find_spec, load_spec, setup_statements
from riacho.cli.session import OWN_RETRIES, connected
from riacho.cli.terminal import aside, counted, duration, output
from riacho.conf import SHORTEST_RETRY_WAIT
from riacho.quarantine import SUFFIX

EXAMPLES = """[bold]Examples[/]
  riacho demo                     [dim]everything goes into ./demo[/]
  riacho demo                     [dim]again: continues where it stopped[/]
  riacho demo --folder /tmp/demo  [dim]elsewhere[/]
"""

DEFAULT_SYSTEM = "telecom"
DEFAULT_FOLDER = Path("demo")
RETRY_TIME = "1s"
"""A new column stops a stream once. The demo should not pause for the usual five seconds before it continues."""


def demo(
    system: Annotated[str, typer.Argument(help="The system to run: a name, or a folder.")] = DEFAULT_SYSTEM,
    folder: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where input files and tables are kept; a second run continues there."),
    ] = DEFAULT_FOLDER,
    verbose: options.Verbose = False,
) -> None:
    """Run a system from incoming files to business answers, through Spark Connect.

    For telecom: files from an internet provider's devices arrive and a server starts. The pipeline takes them through
    bronze, silver and gold, and keeps running while more files arrive, some of them damaged. A second update, of the
    usual kind, finds nothing more to do. The demo then prints the answers, where the tables are, how long each step
    took, and what to try next.
    """
    project = systems.find(system)
    folder = folder.absolute()
    warehouse, show = folder / "warehouse", systems.load_demo(project, folder)
    confs = {**show.confs, SHORTEST_RETRY_WAIT.key: RETRY_TIME}
    spec_path = find_spec(project)
    console = output()
    steps = Steps(console)
    with ExitStack() as stack:
        stack.enter_context(show.services())
        child = stack.enter_context(serving(warehouse, verbose=verbose))
        with steps.step("Data arrives"):
            steps.tell(*show.history())
        with steps.step("A server starts, PySpark connects"):
            spec = load_spec(spec_path, confs, warehouse)
            url = child.url()
            spark = stack.enter_context(connected(url, spec.configuration, OWN_RETRIES))
            stack.enter_context(child.blamed())
            for statement in setup_statements(project):
                spark.sql(statement)
            steps.tell(f"{url}, no JVM")
        if show.continuous:
            with steps.step("The pipeline keeps running while more data arrives"):
                steps.tell(*LiveUpdate(spark, show, console).run(spec, spec_path))
        else:
            with steps.step("The pipeline runs while more data arrives"):
                with show.live() as what_came:
                    board = update(spark, spec, spec_path, Selection(), console)
                steps.tell(f"{counted(board.count(FlowStatus.COMPLETED), 'flow')} completed", *what_came())
        with steps.step("It runs again and reads only new data"):
            board = update(spark, spec, spec_path, Selection(), console, quiet=True)
            steps.tell(f"{counted(board.count(FlowStatus.COMPLETED), 'flow')} completed")
        with steps.step("The answers"):
            console.print()
            print_answers(spark, project, console)
    with steps.step("The tables"):
        found = tables.look(warehouse)
        console.print(tables.grid(found, time.time(), versions=False))
        steps.tell(f"Delta Lake, in {warehouse}")
    steps.print_times()
    quarantined = any(each.name.endswith(SUFFIX) and each.rows for each in found)
    _print_next(console, system, folder, show.question, project if quarantined else None)


class Steps:
    """The steps of the demo: told when they begin, and how long each took at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._times: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step; its title stands above all that is printed in the block."""
        self._console.print(Text.assemble((f"\n{len(self._times) + 1}  ", "bold cyan"), (title, "bold")))
        started = time.monotonic()
        yield
        self._times.append((title, time.monotonic() - started))

    def tell(self, *lines: str) -> None:
        """Lines below the step's title."""
        for line in lines:
            aside(self._console, f"   {line}")

    def print_times(self) -> None:
        self._console.print(Text("\nHow long it took", style="bold"))
        width = max(len(title) for title, _ in self._times)
        for title, seconds in (*self._times, ("total", sum(seconds for _, seconds in self._times))):
            style = "bold" if title == "total" else ""
            self._console.print(Text(f"   {title:<{width}} {duration(seconds):>9}", style=style))


def _print_next(console: Console, system: str, folder: Path, question: str, quarantined: Path | None) -> None:
    """Commands to go on with, as they can be pasted here. `quarantined`: the project, if rows of it are quarantined."""
    riacho, shown = _program(), _from_here(folder / "warehouse")
    again = "" if system == DEFAULT_SYSTEM else f" {system}"
    again += "" if folder == DEFAULT_FOLDER.absolute() else f" --folder {_from_here(folder)}"
    console.print(Text("\nTry next", style="bold"))
    look = () if quarantined is None else (f"{riacho} quarantine show {_from_here(quarantined)} -w {shown} --limit 3",)
    for command, what in (
        (f"{riacho} demo{again}", "run it again: it continues where it stopped"),
        *((command, "see rows that broke a rule") for command in look),
        (f"{riacho} sql -w {shown} '{question}'", "ask another question"),
        (f"{riacho} up -w {shown}", "serve these tables to PySpark"),
        (f"{riacho} --help", "see all commands"),
    ):
        console.print(Text.assemble(("   # ", "dim"), (f"{what}\n", "dim"), f"   {command}"), soft_wrap=True)


def _program() -> str:
    """How to call riacho from this shell: by its name if that finds this one."""
    script = Path(sys.prefix) / "bin" / "riacho"
    found = shutil.which("riacho")
    if found is not None and Path(found).resolve() == script.resolve():
        return "riacho"
    return _from_here(script) if script.exists() else f"{_from_here(Path(sys.executable))} -m riacho"


def _from_here(path: Path) -> str:
    """The path as it is shortest to type."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)
