"""Asks Apache Spark what each case gives and keeps the answers beside the cases.

Run it with the oracle's Python, from the root of the checkout:

    PYTHONPATH=src:. .oracle/bin/python -m tests.unit.server.formats.oracle.record [json csv …]

Spark runs as the session default does (ANSI on) with one core and the UTC time zone. With `SPARK_REMOTE` set it is that
server which is asked, and any Python will do.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from tests.unit.server.formats.oracle import (
    avro_cases,
    csv_cases,
    json_cases,
    orc_cases,
    parquet_cases,
    text_cases,
    xml_cases,
)
from tests.unit.server.formats.oracle.case import EXPECTED, RECORDED_DAY, Case, plain_rows

LISTS = {
    "json": json_cases.CASES,
    "csv": csv_cases.CASES,
    "text": text_cases.CASES,
    "parquet": parquet_cases.CASES,
    "orc": orc_cases.CASES,
    "xml": xml_cases.CASES,
    "avro": avro_cases.CASES,
}


def answer(spark: SparkSession, format_name: str, case: Case, folder: Path) -> dict[str, Any]:
    """What Spark makes of `case`: the schema, unless that fails already, and the rows or the error."""
    path = folder / f"{case.name}.{format_name}{case.suffix}"
    path.write_bytes(case.content)
    found: dict[str, Any] = {}
    try:
        reader = spark.read.format(format_name).options(**case.options)
        if case.schema is not None:
            reader = reader.schema(case.schema)
        frame = reader.load(str(path))
        found["schema"] = json.loads(frame.schema.json())
        # `toArrow` hides what goes wrong in the reader, `collect` shows it.
        try:
            found["rows"] = plain_rows(frame.toArrow())
        except Exception:
            frame.collect()
            raise
    except Exception as error:  # noqa: BLE001 - any error is an answer; some Java exceptions have no class in PySpark
        found["error"] = _CONDITION.findall(str(error))[:2] or [str(error).splitlines()[0][:200]]
    return found


_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)?)\]")
"""How Spark writes the condition of an error: `[FAILED_READ_FILE.NO_HINT]`. The cause's follows the error's own."""


def _session() -> SparkSession:
    """A session of the server that `SPARK_REMOTE` names, else of a Spark of its own."""
    if remote := os.environ.get("SPARK_REMOTE"):
        session = SparkSession.builder.remote(remote).create()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        return session
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    return session


def main(names: list[str]) -> None:
    spark = _session()
    with tempfile.TemporaryDirectory() as folder:
        for name in names or list(LISTS):
            answers = {case.name: answer(spark, name, case, Path(folder)) for case in LISTS[name]}
            answers[RECORDED_DAY] = {"day": int(time.time() // 86_400)}
            entries = (f"{json.dumps(key)}: {json.dumps(answers[key], sort_keys=True)}" for key in sorted(answers))
            (EXPECTED / f"{name}.json").write_text("{\n" + ",\n".join(entries) + "\n}\n")
            print(f"{name}: {len(answers)} cases")
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
