"""A system's queries as questions, and their answers as tables."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from rich.console import Console

from riacho.cli.answers import Question, parse, print_answers, questions


def test_comments_before_a_statement_are_its_title_and_note() -> None:
    text = """-- The title
-- A note
-- on two lines.

SELECT 1,
  -- not a title
  2;

-- Another
SELECT ';' AS a
FROM t;
SELECT 3
"""
    assert list(parse(text)) == [
        Question("The title", "A note on two lines.", "SELECT 1,\n  -- not a title\n  2"),
        Question("Another", "", "SELECT ';' AS a\nFROM t"),
        Question("", "", "SELECT 3"),
    ]


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "2.sql").write_text("-- b\nSELECT 2;")
    (folder / "1.sql").write_text("-- a\nSELECT 1;")

    assert [question.title for question in questions(tmp_path)] == ["a", "b"]
    assert questions(tmp_path / "elsewhere") == []


def printed(tmp_path: Path, columns: list[str], rows: list[tuple[Any, ...]]) -> list[str]:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "1.sql").write_text("-- 1. Asked\n-- Noted.\nSELECT 1;")
    spark = Mock()
    spark.sql.return_value = Mock(columns=columns, collect=Mock(return_value=rows))
    console = Console(file=io.StringIO(), width=80)

    print_answers(spark, tmp_path, console)

    spark.sql.assert_called_once_with("SELECT 1")
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def test_an_answer_is_a_table_below_its_title(tmp_path: Path) -> None:
    rows = [("sp-01", 12_345, Decimal("4.1"), None), ("TOTAL", 2, Decimal("0.0"), "x")]

    lines = printed(tmp_path, ["server", "open_connections", "rate", "place"], rows)

    assert lines[:3] == ["1. Asked", "Noted.", "server open connections rate place"]
    assert lines[4:] == ["sp-01 12,345 4.1 –", "TOTAL 2 0.0 x"]


def test_no_rows_are_said_to_be_none(tmp_path: Path) -> None:
    assert printed(tmp_path, ["server", "place"], [])[-1] == "none"
