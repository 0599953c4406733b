"""`riacho anomalies backtest PROJECT`: how good a project's rules for anomalies are, on days that are made up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli import options, systems
from riacho.cli.session import session
from riacho.cli.terminal import aside, counted, duration, output

EXAMPLES = """[bold]Examples[/]
  riacho anomalies backtest access-logs                  [dim]30 days, 40 attacks[/]
  riacho anomalies backtest access-logs --attacks 0      [dim]false alarms on normal days[/]
"""

app = typer.Typer(name="anomalies", help="Try rules for anomalies.", epilog=EXAMPLES, no_args_is_help=True)


@app.callback()
def anomalies() -> None:
    """Try rules for anomalies."""


@app.command(epilog=EXAMPLES)
def backtest(
    system: Annotated[str, typer.Argument(help="A system with a backtest.py: a name, or a folder.")],
    days: Annotated[int, typer.Option(min=1, help="How many days are made up.")] = 30,
    attacks: Annotated[int, typer.Option(min=0, help="How many attacks there are in them.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same days.")] = 7,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Run a system's rules for anomalies over days that are made up, and hold what they find against the truth.

    Recall is the share of the attacks that were found, precision the share of the flagged minutes that belong to one.
    The rules are those of the pipeline, run by the same engine.
    """
    from riacho.quality.backtest import score

    trial = systems.load_backtest(systems.find(system))
    series = trial.series(days, attacks, seed)
    truth = dict(zip(series[trial.TIME].to_pylist(), series["attack"].to_pylist(), strict=True))
    console = output()
    started = time.monotonic()
    grid = Table(box=box.SIMPLE_HEAD, header_style="cyan")
    for column in ("rule", "found", "recall", "precision", "false alarms", "noticed after"):
        grid.add_column(column, justify="left" if column == "rule" else "right")
    with (
        TemporaryDirectory(prefix="riacho-backtest-") as folder,
        session(Path(folder), remote, verbose=verbose) as spark,
    ):
        given = spark.createDataFrame(series.drop_columns("attack"))
        for name, rule in trial.RULES.items():
            rows = rule(given).select(trial.TIME).toArrow()[trial.TIME].to_pylist()
            found = score(truth, set(rows))
            grid.add_row(
                name,
                f"{found.found} of {found.attacks}",
                _percent(found.recall),
                _percent(found.precision),
                f"{found.false_alarms:,}",
                _delay(found.delays),
            )
    told = (
        f"{counted(days, 'day')} of {trial.VALUE}, {counted(series.num_rows, 'minute')}, {counted(attacks, 'attack')}"
    )
    console.print(Text(told, style="bold"))
    console.print(grid)
    aside(console, f"  seed {seed} · {duration(time.monotonic() - started)}")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _delay(delays: Sequence[int]) -> str:
    return "–" if not delays else f"{statistics.median(delays):.0f} min, at most {max(delays)}"
