"""Options that several commands share, so that they are called, checked and explained alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from riacho.errors import SparkError
from riacho.storage import Place, place_of

DEFAULT_PORT = 15002
DEFAULT_WAREHOUSE = Path("warehouse")


@dataclass
class Settings:
    """What holds for the whole program; the object of the command line's context."""

    verbose: bool = False


def _remember(context: typer.Context, verbose: bool) -> bool:
    if verbose:
        context.ensure_object(Settings).verbose = True
    return verbose


def _connect_url(value: str | None) -> str | None:
    if value is not None and not value.startswith("sc://"):
        raise typer.BadParameter(f"{value!r} is not the address of a Spark Connect server: write sc://HOST:PORT")
    return value


def _place(text: str | Path) -> Place:
    """A folder of this machine, or one in object storage (`s3://bucket/prefix`)."""
    if isinstance(text, Path) or "://" not in text:
        return Path(text)
    try:
        return place_of(text)
    except SparkError as error:
        raise typer.BadParameter(error.message) from None


_WAREHOUSE = typer.Option(
    "--warehouse",
    "-w",
    metavar="FOLDER",
    help="The folder with the tables, here or in object storage (s3://BUCKET/PREFIX).",
    envvar="RIACHO_WAREHOUSE",
    parser=_place,
)
if TYPE_CHECKING:
    Warehouse: TypeAlias = Place
else:
    Warehouse = Annotated[Path, _WAREHOUSE]  # for typer, which knows no unions

Remote = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Use the Spark Connect server at this address (sc://HOST:PORT) and its tables; it can be riacho or Spark.",
        callback=_connect_url,
    ),
]

Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Show the full traceback of an error, and the server's log.", callback=_remember),
]


class OutputFormat(StrEnum):
    """How rows are printed: for people, or for programs."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Format = Annotated[OutputFormat, typer.Option("--format", help="A table for people, or json or csv for programs.")]
