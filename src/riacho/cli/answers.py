"""A system's business answers on the terminal: the SQL in `PROJECT/queries/`, each statement a table.

A statement ends with a semicolon at the end of a line. The comment lines before it are its title and, from the second
line on, a note. Files are read in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

_NUMBERS = (int, float, Decimal)


@dataclass(frozen=True)
class Question:
    """A titled query, as it stands in a file."""

    title: str
    note: str
    sql: str


def print_answers(spark: SparkSession, project: Path, console: Console) -> None:
    """Ask each question of `project` and print what comes back. Raises what the queries raise."""
    for question in questions(project):
        asked = spark.sql(question.sql)
        console.print(Text(question.title, style="bold"))
        if question.note:
            console.print(Text(question.note, style="dim"))
        console.print(_table(asked.columns, asked.collect()))


def questions(project: Path) -> list[Question]:
    """The questions in `project/queries/*.sql`, in order; none if there is no such folder."""
    return [
        question
        for file in sorted((project / "queries").glob("*.sql"))
        for question in parse(file.read_text(encoding="utf-8"))
    ]


def parse(text: str) -> Iterator[Question]:
    """The questions in one file. A statement without a comment before it has no title."""
    comments: list[str] = []
    lines: list[str] = []
    for line in text.splitlines():
        if not lines and line.startswith("--"):
            comments.append(line.removeprefix("--").strip())
        elif line.strip():
            lines.append(line)
        if lines and line.rstrip().endswith(";"):
            yield _question(comments, lines)
            comments, lines = [], []
    if lines:
        yield _question(comments, lines)


def _question(comments: list[str], lines: list[str]) -> Question:
    title, *note = comments or [""]
    return Question(title, " ".join(note), "\n".join(lines).rstrip().removesuffix(";"))


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """A rich table: numbers to the right with thousands apart, a row that says TOTAL in bold."""
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan")
    for index, name in enumerate(columns):
        right = any(_is_number(row[index]) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row), style="bold" if "TOTAL" in row else None)
    if not rows:
        table.add_row(*("none" if index == 0 else "" for index in range(len(columns))), style="dim")
    return table


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if _is_number(value):
        return f"{value:,}"
    return str(value)
