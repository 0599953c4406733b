"""Runs in the oracle's environment: a case a line on standard input, its batches on standard output."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from answers import build, operator_numbers, table_rows  # type: ignore[import-not-found]
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

LIMIT_S = 180
CHEAPER: dict[str, bool | float | int | str | None] = {
    # Hadoop starts a process for each permission that it sets or link that it looks at: half the time of a small batch.
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    # Nearly all code is new and runs a few times: a better compiler or a collector on other threads gains nothing.
    "spark.driver.extraJavaOptions": (
        "-Djdk.lang.Process.launchMechanism=VFORK -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    ),
    "spark.broadcast.blockSize": "64k",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""What saves time and changes no answer. With it a case costs Spark a third."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Spark prints must not stand between the answers
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", "2g")
        .config(map=CHEAPER)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(spark, json.loads(line))), file=answers, flush=True)
    spark.stop()


def run(spark: SparkSession, case: dict[str, Any]) -> dict[str, Any]:
    """All batches of a case; each phase is a start of the query on the same checkpoint."""
    for key, value in case["conf"].items():
        spark.conf.set(key, value)
    try:
        return {"batches": [batch for phase in case["phases"] for batch in run_phase(spark, case, phase)]}
    except Exception as error:  # noqa: BLE001  whatever it is, it is this case's answer
        return {"error": str(error)[:2000]}
    finally:
        for key in case["conf"]:
            spark.conf.unset(key)


def run_phase(spark: SparkSession, case: dict[str, Any], phase: list[list[str]]) -> list[dict[str, Any]]:
    folder = Path(case["folder"])
    for index, files in enumerate(phase):
        (folder / f"in{index}").mkdir(exist_ok=True)
        for name in files:
            shutil.copy2(folder / "batches" / name, folder / f"in{index}" / name)
    streams = [
        spark.readStream.schema(case["schema"]).option("maxFilesPerTrigger", 1).parquet(str(folder / f"in{index}"))
        for index in range(len(phase))
    ]
    rows: dict[int, Any] = {}
    writer = build(case["query"], streams, F).writeStream.outputMode(case["mode"])
    writer = writer.option("checkpointLocation", str(folder / "spark")).trigger(availableNow=True)
    query = writer.foreachBatch(lambda batch, number: rows.update({number: table_rows(batch.toArrow())})).start()
    if not query.awaitTermination(LIMIT_S):
        status = query.status
        query.stop()
        raise TimeoutError(f"the query did not end within {LIMIT_S} s: {status}")
    reports = [json.loads(report.json) for report in query.recentProgress]
    return [
        {
            "batch": report["batchId"],
            "rows": rows.pop(report["batchId"]),
            "watermark": report.get("eventTime", {}).get("watermark"),
            "state": operator_numbers(report["stateOperators"]),
        }
        for report in reports
        if report["batchId"] in rows
    ]


main()
