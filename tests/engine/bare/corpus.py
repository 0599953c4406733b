"""Questions, and what Apache Spark answers: what the test beside this asks riacho and the bare engine.

`questions.txt` has one a line: a query, or several statements with ` ;; ` between them, the last of which gives the
answer, and after a tab what Spark says to it. The examples of functions there are those that the engine, Sail 0.7.2,
answers as Spark does. To add questions, write them there without an answer and have Spark asked what has none:

    python -m tests.engine.bare.corpus sc://host:port
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

HERE = Path(__file__).parent
QUESTIONS = HERE / "questions.txt"
FAILED = "error"
SEPARATOR = " ;; "
EVENTS = """
    SELECT * FROM VALUES
        (1, 'a', 10, 0.5D, 2.50BD, DATE'2024-01-31', TIMESTAMP'2024-01-31 10:20:30.5', array(1, 2), true),
        (2, 'b', 20, -1.5D, -1.15BD, DATE'2024-02-29', TIMESTAMP'2024-02-29 23:59:59', array(3), false),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (4, 'a', 5, 100.0D, 7.00BD, DATE'1999-12-31', TIMESTAMP'1999-12-31 00:00:00', array(), true)
        AS v(id, k, v, d, dec, dt, ts, arr, b)
"""


def questions() -> dict[str, str]:
    """All of them with Spark's answers, in the order of the file; comments left out."""
    return dict(_split(line) for line in QUESTIONS.read_text().splitlines() if not line.startswith("--"))


def _split(line: str) -> tuple[str, str]:
    question, _, answer = line.partition("\t")
    return question, answer


@contextmanager
def session(url: str) -> Iterator[SparkSession]:
    """A session in which questions can be asked: with the view `Events`, in UTC."""
    spark = SparkSession.builder.remote(url).create()
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        spark.sql(EVENTS).createOrReplaceTempView("e")
        yield spark
    finally:
        spark.stop()


def ask(spark: SparkSession, question: str, folder: Path) -> str:
    """The answer on one line: the types of the columns and the rows in any order, or that it failed.

    `{folder}` in a question is a fresh one; `{name}` a name that no other question has.
    """
    name = f"n{uuid4().hex[:12]}"
    text = question.replace("{folder}", str(folder / name)).replace("{name}", name)
    *before, last = text.split(SEPARATOR)
    try:
        for statement in before:
            spark.sql(statement)
        frame = spark.sql(last)
        rows = sorted(repr(_plain(row)) for row in frame.collect())
        kinds = ", ".join(field.dataType.simpleString() for field in frame.schema)
    except PySparkException:
        return FAILED
    return f"{kinds} | {' '.join(rows)}".replace("\n", "\\n")


def _plain(value: Any) -> Any:
    """Without names of fields, and maps in order."""
    if isinstance(value, (Row, tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return sorted(((_plain(key), _plain(each)) for key, each in value.items()), key=repr)
    return value


def record(url: str, folder: Path) -> None:
    """Write the answers that are missing."""
    lines = QUESTIONS.read_text().splitlines()
    with session(url) as spark:
        for at, line in enumerate(lines):
            question, answer = _split(line)
            if not answer and not line.startswith("--"):
                lines[at] = f"{question}\t{ask(spark, question, folder)}"
    QUESTIONS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    record(sys.argv[1], Path("/tmp"))
