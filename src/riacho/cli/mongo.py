"""`riacho mongo`: collections of MongoDB as a file says they should be."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from riacho.cli import options, systems
from riacho.cli.failures import CommandError
from riacho.cli.plans import CHANGE, CREATE, IMPOSSIBLE, UNCHANGED, PlanView

if TYPE_CHECKING:
    from riacho.mongo.plan import CollectionStep
    from riacho.mongo.server import CollectionsServer
    from riacho.mongo.wanted import WantedIndex

EXAMPLES = """[bold]Examples[/]
  riacho mongo plan collections.yml                            [dim]what would be done[/]
  riacho mongo init collections.yml                            [dim]show it, ask, and do it[/]
  riacho mongo init systems/shop --yes -u mongodb://mongo:27017 [dim]for programs[/]
"""
FILE_NAME = "mongo.yml"

app = typer.Typer(
    name="mongo",
    help="Create and change collections of MongoDB as a YAML file says.",
    epilog=EXAMPLES,
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(help=f"The file with the collections, or a system that has a {FILE_NAME}.")]
Address = Annotated[
    str | None,
    typer.Option("--uri", "-u", metavar="URI", help="The server, as a connection string.", envvar="MONGODB_URI"),
]
Database = Annotated[str | None, typer.Option("--database", "-d", help="The database.")]


@app.command(epilog=EXAMPLES)
def plan(
    file: File,
    uri: Address = None,
    database: Database = None,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Show what would be done so that the collections are as the file says. Nothing is changed.

    The exit code is 1 if the file asks for something that MongoDB cannot do, such as another field of a time series.
    """
    with ExitStack() as stack:
        steps, _ = _planned(file, uri, database, stack)
        _VIEW.show(steps)


@app.command(epilog=EXAMPLES)
def init(
    file: File,
    uri: Address = None,
    database: Database = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Create and change collections so that they are as the file says. A second run has nothing to do.

    The plan comes first. Collections and indexes that the file does not name, and settings that it does not mention,
    stay as they are; nothing is ever deleted. If one thing cannot be done, nothing is.
    """
    with ExitStack() as stack:
        steps, server = _planned(file, uri, database, stack)
        _VIEW.show(steps)
        _VIEW.carry_out(steps, server.do, yes=yes)


def _planned(
    file: Path, uri: str | None, database: str | None, stack: ExitStack
) -> tuple[list[CollectionStep], CollectionsServer]:
    from riacho.connectors.mongodb.options import resolved
    from riacho.mongo.plan import plan
    from riacho.mongo.server import CollectionsServer
    from riacho.mongo.wanted import read

    wanted = read(file if file.is_file() or file.suffix else systems.find(str(file)) / FILE_NAME)
    address = uri or wanted.uri
    if not address:
        raise CommandError("which MongoDB?", "give --uri URI, set MONGODB_URI, or write 'uri:' in the file")
    name = database or wanted.database or resolved({"connection.uri": address}, "read").get("database")
    if not name:
        raise CommandError("which database?", "give --database NAME, or write 'database:' in the file")
    server = stack.enter_context(CollectionsServer(address, name))
    server.check(wanted.collections)
    found = server.collections(one.name for one in wanted.collections)
    return plan(wanted.collections, found, sharded=server.is_sharded()), server


def _told(step: CollectionStep) -> Text:
    from riacho.mongo.plan import (
        ChangeCollection,
        CreateCollection,
        CreateIndex,
        ImpossibleCollection,
        ShardCollection,
    )

    match step:
        case CreateCollection(collection):
            parts = ["time series" if collection.series else "collection"]
            parts += ["with a validator"] if collection.validator is not None else []
            parts += [f"capped at {collection.capped_bytes} bytes"] if collection.capped_bytes else []
            return Text("create: " + ", ".join(parts))
        case CreateIndex(_, index):
            return Text("create " + _index(index))
        case ChangeCollection(_, _, changes):
            lines = [
                Text.assemble(f"{name} ", (f"{_value(now)} ", "dim"), "→ ", (_value(wanted), "bold"))
                for name, now, wanted in changes
            ]
            return Text("\n").join(lines)
        case ShardCollection(_, keys, _):
            return Text(f"shard by {_keys(keys)}")
        case ImpossibleCollection(_, why):
            return Text(why)
        case _:
            return Text("as it should be", style="dim")


def _index(index: WantedIndex) -> str:
    kinds = [
        word for word, yes in (("unique", index.unique), ("sparse", index.sparse), ("partial", index.where)) if yes
    ]
    text = " ".join([*kinds, "index", index.name, "on", _keys(index.keys)])
    return text if index.expire_s is None else f"{text}, expire-after {index.expire_s} s"


def _keys(keys: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(name if way == 1 else f"{name} ({'descending' if way == -1 else way})" for name, way in keys)


def _value(value: Any) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


_VIEW: PlanView[CollectionStep] = PlanView(
    "collection",
    {
        "CreateCollection": CREATE,
        "CreateIndex": CREATE,
        "ChangeCollection": CHANGE,
        "ShardCollection": CHANGE,
        "ImpossibleCollection": IMPOSSIBLE,
        "UnchangedCollection": UNCHANGED,
    },
    _told,
)
