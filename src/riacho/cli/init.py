"""`riacho init NAME`: a new pipeline project that runs at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from riacho.cli.failures import CommandError
from riacho.cli.terminal import aside, output

EXAMPLES = """[bold]Examples[/]
  riacho init shop                 [dim]a project in the new folder shop[/]
  riacho run shop                  [dim]run it[/]
  riacho sql 'SELECT * FROM shop.daily'
"""

_SPEC = """\
name: {name}
storage: {storage}    # checkpoints, when Spark's own command runs the project
database: {database}    # where names without a database live; setup.sql makes it
libraries:
  - glob:
      include: transformations/**
"""

_SETUP = """\
-- riacho runs these statements before each update.
CREATE DATABASE IF NOT EXISTS {database};
"""

_ORDERS = '''\
"""The orders as they arrive: a streaming table, which grows with the files in landing/."""

from pathlib import Path

from riacho import pipelines as dp

LANDING = Path("landing").resolve()


@dp.table(comment="Orders that can be billed, each once")
@dp.expect("has a customer", "customer IS NOT NULL")  # counted, and kept all the same
@dp.expect_or_quarantine("has a price", "price > 0")  # put aside in orders_quarantine, to be mended and replayed
def orders():
    columns = "id BIGINT, customer STRING, price DECIMAL(10, 2), ordered_at TIMESTAMP"
    return spark.readStream.schema(columns).json(str(LANDING))
'''

_DAILY = """\
-- What was sold on each day: a materialized view, computed anew with each update.
CREATE MATERIALIZED VIEW daily
COMMENT 'Orders and what they brought in, by day'
AS
SELECT date(ordered_at) AS day, count(*) AS orders, sum(price) AS total
FROM orders
GROUP BY date(ordered_at);
"""

_LANDED = """\
{"id": 1, "customer": "ana", "price": 12.50, "ordered_at": "2026-01-05T09:30:00Z"}
{"id": 2, "customer": "rui", "price": 8.00, "ordered_at": "2026-01-05T17:02:00Z"}
{"id": 3, "customer": null, "price": 3.20, "ordered_at": "2026-01-06T11:45:00Z"}
{"id": 4, "customer": "eva", "price": -1.00, "ordered_at": "2026-01-06T12:00:00Z"}
"""


def init(
    name: Annotated[Path, typer.Argument(help="The new folder, whose name is the project's.", metavar="NAME")],
) -> None:
    """Make a pipeline project that runs at once: a table with two rules, a view of it, and a file of sample data.

    The folder is an ordinary Spark Declarative Pipelines project, which Spark's own command can run too.
    """
    folder = name.absolute()
    if folder.exists():
        raise CommandError(f"{name} is there already", "choose another name, or remove it first")
    if not folder.name.isprintable() or not any(map(str.isalnum, folder.name)):
        raise CommandError(f"{folder.name!r} is no name for a project", "take letters, digits and _")
    files = _files(folder)
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    console = output()
    console.print(Text.assemble(("✓ ", "green"), f"made the project {folder.name} in {name}"), soft_wrap=True)
    for path in files:
        console.print(Text(f"  {path}", style="dim"))
    aside(console, f"  next: riacho run {shlex.quote(str(name))}")


def _files(folder: Path) -> dict[str, str]:
    """What the project consists of: the text of each file, by its place in the folder."""
    database = _database(folder.name)
    storage = (folder / "pipeline-storage").as_uri()
    return {
        "spark-pipeline.yml": _SPEC.format(name=_yaml(folder.name), storage=_yaml(storage), database=database),
        "setup.sql": _SETUP.format(database=database),
        "transformations/orders.py": _ORDERS,
        "transformations/daily.sql": _DAILY,
        "landing/orders.json": _LANDED,
    }


def _database(name: str) -> str:
    """The project's name as the name of a database, which needs no quotes."""
    database = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.lower()).strip("_")
    return database if database and not database[0].isdigit() else f"db_{database}"


def _yaml(text: str) -> str:
    """Text as a value in YAML."""
    import yaml

    return str(yaml.safe_dump(text, default_style='"', width=10_000, allow_unicode=True)).strip()
