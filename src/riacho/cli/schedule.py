"""`riacho schedule SYSTEM`: the steps of a system's run, one after the other, at regular times, without Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from riacho import units
from riacho.cli import options, systems
from riacho.cli.failures import CommandError, first_line
from riacho.cli.profiles import load_environment
from riacho.cli.systems import ScheduledTask, ScheduleSettings
from riacho.cli.terminal import aside, duration, output
from riacho.clock import Clock, SystemClock

EXAMPLES = """[bold]Examples[/]
  riacho schedule crypto                      [dim]every ten minutes, until Ctrl-C[/]
  riacho schedule crypto --every 1m           [dim]more often[/]
  riacho schedule crypto --once               [dim]once, now; the exit code says how it went[/]
  riacho schedule crypto --profile services   [dim]through Kafka, into MongoDB[/]
"""
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


def schedule(
    system: Annotated[str, typer.Argument(help="A system with a schedule.py: a name, or a folder.")],
    every: Annotated[str | None, typer.Option(metavar="TIME", help="How often, such as 10m or 30s.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Run once, now.")] = False,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Settings of profiles/NAME.yml.")] = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Run a system's steps at regular times: what an Airflow DAG would do, in one process.

    A step that fails is tried again, with longer and longer pauses. If it fails for good, the run ends there, and the
    next one begins at its time. A run that takes longer than the interval delays the next; none is made up for.
    """
    folder = systems.find(system)
    load_environment(folder)
    plan = systems.load_schedule(folder)
    interval_ms = units.time_ms(every or plan.EVERY)
    if interval_ms is None or interval_ms < 1_000:
        raise typer.BadParameter(f"{every!r} is no time of a second or more: write 10m or 30s", param_hint="--every")
    tasks = plan.tasks(ScheduleSettings(warehouse, remote, profile))
    console = output()
    runner = ScheduleRunner(console, SystemClock(), time.sleep)
    try:
        if once:
            if not runner.run(tasks):
                raise CommandError(f"{folder.name} did not go through", "the line above says where it stopped")
            return
        runner.forever(tasks, interval_ms)
    except KeyboardInterrupt:
        aside(console, "stopped")


class ScheduleRunner:
    """Runs steps and tells of them. `sleep` takes seconds."""

    def __init__(self, console: Console, clock: Clock, sleep: Callable[[float], object]) -> None:
        self._console = console
        self._clock = clock
        self._sleep = sleep

    def forever(self, tasks: list[ScheduledTask], interval_ms: int) -> None:
        """Run after run, at multiples of the interval; the first one now."""
        while True:
            self.run(tasks)
            now_ms = self._clock.now_ms()
            self._sleep((interval_ms - now_ms % interval_ms) / 1000)

    def run(self, tasks: list[ScheduledTask]) -> bool:
        """All steps in order, each with what the one before it gave; whether they went through."""
        moment = datetime.fromtimestamp(self._clock.now_ms() / 1000, tz=UTC)
        self._console.print(Text(f"{moment:%Y-%m-%d %H:%M:%S}", style="bold"))
        given: Any = None
        for task in tasks:
            started_ms = self._clock.monotonic_ms()
            try:
                given = self._attempts(task, given)
            except Exception as error:  # noqa: BLE001 - whatever a step raises ends this run, and not the schedule
                self._tell("✗", "red", task, first_line(str(error)), started_ms)
                return False
            self._tell("✓", "green", task, task.told(given), started_ms)
        return True

    def _attempts(self, task: ScheduledTask, given: Any) -> Any:
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, task.attempts + 1):
            try:
                return task.run(given)
            except Exception as error:
                if attempt == task.attempts:
                    raise
                told = f"{first_line(str(error))}; again in {pause_s:.0f} s (attempt {attempt} of {task.attempts})"
                self._console.print(Text(f"  ! {task.name:<18} {told}", style="yellow"), soft_wrap=True)
                self._sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def _tell(self, mark: str, style: str, task: ScheduledTask, told: str, started_ms: float) -> None:
        took = duration((self._clock.monotonic_ms() - started_ms) / 1000)
        line = Text.assemble((f"  {mark} ", style), f"{task.name:<18} {told}", (f"  {took}", "dim"))
        self._console.print(line, soft_wrap=True)
