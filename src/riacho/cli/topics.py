"""`riacho topics`: Kafka topics as a file says they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import CommandError
from riacho.cli.plans import CHANGE, CREATE, IMPOSSIBLE, UNCHANGED, PlanView
from riacho.cli.terminal import counted

if TYPE_CHECKING:
    from riacho.topics.broker import Broker
    from riacho.topics.plan import TopicStep

EXAMPLES = """[bold]Examples[/]
  riacho topics plan topics.yml                      [dim]what would be done[/]
  riacho topics apply topics.yml                     [dim]show it, ask, and do it[/]
  riacho topics apply topics.yml --yes -b kafka:9092 [dim]for programs[/]
"""

app = typer.Typer(
    name="topics", help="Create and change Kafka topics as a YAML file says.", epilog=EXAMPLES, no_args_is_help=True
)

File = Annotated[Path, typer.Argument(help="The file with the topics.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--broker", "-b", metavar="HOST:PORT", help="A broker of the cluster.", envvar="KAFKA_BOOTSTRAP_SERVERS"
    ),
]
Client = Annotated[
    list[str] | None,
    typer.Option("--client", metavar="KEY=VALUE", help="A setting of the Kafka client; can be repeated."),
]


@app.command(epilog=EXAMPLES)
def plan(
    file: File,
    broker: Address = None,
    client: Client = None,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Show what would be done so that the topics are as the file says. Nothing is changed.

    The exit code is 1 if the file asks for something that Kafka cannot do, such as fewer partitions.
    """
    steps, _ = _planned(file, broker, client)
    _VIEW.show(steps)


@app.command(epilog=EXAMPLES)
def apply(
    file: File,
    broker: Address = None,
    client: Client = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Create and change topics so that they are as the file says. A second run has nothing to do.

    The plan comes first. Topics that the file does not name, and settings that it does not mention, stay as they are;
    nothing is ever deleted. If one thing cannot be done, nothing is.
    """
    steps, cluster = _planned(file, broker, client)
    _VIEW.show(steps)
    _VIEW.carry_out(steps, cluster.do, yes=yes)


def _planned(file: Path, broker: str | None, client: list[str] | None) -> tuple[list[TopicStep], Broker]:
    from riacho.topics.broker import Broker
    from riacho.topics.plan import plan
    from riacho.topics.wanted import read

    wanted = read(file)
    settings = {**wanted.client, **dict(map(_setting, client or ()))}
    if broker:
        settings["bootstrap.servers"] = broker
    if not settings.get("bootstrap.servers"):
        raise CommandError(
            "which Kafka cluster?",
            "give --broker HOST:PORT, set KAFKA_BOOTSTRAP_SERVERS, or write 'bootstrap:' in the file",
        )
    cluster = Broker(settings)
    return plan(wanted.topics, cluster.topics(topic.name for topic in wanted.topics)), cluster


def _setting(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--client")
    return key, value


def _told(step: TopicStep) -> Text:
    from riacho.topics.plan import AddPartitions, CreateTopic, Impossible, SetConfig

    match step:
        case CreateTopic(topic):
            parts = [
                counted(topic.partitions, "partition") if topic.partitions else "partitions as the broker has them"
            ]
            if topic.replication:
                parts.append(counted(topic.replication, "replica"))
            parts += [f"{key} {_value(key, value)}" for key, value in topic.config.items()]
            return Text("create: " + ", ".join(parts))
        case AddPartitions(_, now, wanted):
            return Text.assemble("partitions ", (f"{now} ", "dim"), "→ ", (str(wanted), "bold"))
        case SetConfig(_, now, wanted):
            lines = [
                Text.assemble(
                    f"{key} ", (f"{_value(key, now.get(key, 'not set'))} ", "dim"), "→ ", (_value(key, value), "bold")
                )
                for key, value in wanted.items()
            ]
            return Text("\n").join(lines)
        case Impossible(_, why):
            return Text(why)
        case _:
            return Text("as it should be", style="dim")


_MS = 1000


def _value(key: str, value: str) -> str:
    """A setting as people read it: times in days and hours."""
    if not key.endswith(".ms") or not value.lstrip("-").isdigit():
        return value
    if value == "-1":
        return "forever"
    left, shown = int(value), []
    for unit, size in (("d", 86_400 * _MS), ("h", 3600 * _MS), ("min", 60 * _MS), ("s", _MS), ("ms", 1)):
        if left >= size:
            shown.append(f"{left // size} {unit}")
            left %= size
    return " ".join(shown) or "0 s"


_VIEW: PlanView[TopicStep] = PlanView(
    "topic",
    {
        "CreateTopic": CREATE,
        "AddPartitions": CHANGE,
        "SetConfig": CHANGE,
        "Impossible": IMPOSSIBLE,
        "Unchanged": UNCHANGED,
    },
    _told,
)
