"""`riacho ingest` and `riacho up --http`, as a user runs them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from riacho.cli.app import app
from riacho.ingest.client import IngestClient
from riacho.testing.ingest import ingest_server
from riacho.testing.servers import riacho_server
from tests.spec.support import rows

LIMIT_S = 60


def riacho(*arguments: str, given: str = "") -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "riacho", *arguments],
        input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_file_is_sent_once_however_often_it_is_sent(tmp_path: Path) -> None:
    events = tmp_path / "orders.ndjson"
    events.write_text("".join(f'{{"id":{number % 3}}}\n' for number in range(7)))
    table = tmp_path / "more.csv"
    table.write_text('id,name\n1,"a\nb"\n2,c\n')
    with ingest_server(tmp_path) as server:
        to = ("--url", server.url)
        assert riacho("ingest", "send", "orders", str(events), "--batch", "3", *to) == "7 events sent to orders\n"
        assert "0 events sent to orders · 7 were there already" in riacho(
            "ingest", "send", "orders", str(events), "--batch", "3", *to
        )
        assert riacho("ingest", "send", "orders", str(events), "--again", *to) == "7 events sent to orders\n"
        assert riacho("ingest", "send", "orders", str(table), "--batch", "1", *to) == "2 events sent to orders\n"
        packed = gzip.compress(b'{"id":1}\n')
        for content in (packed[:-12], b"x", packed[:12] + b"\xff" * 20):
            broken = tmp_path / "broken.ndjson.gz"
            broken.write_bytes(content)
            result = CliRunner().invoke(app, ["ingest", "send", "orders", str(broken), *to])
            assert (result.exit_code, "is no whole gzip file" in " ".join(result.stderr.split())) == (1, True)
        for _ in range(2):
            assert riacho("ingest", "send", "orders", "-", *to, given='{"id":1}\n') == "1 event sent to orders\n"
        (facts,) = json.loads(riacho("ingest", "status", "--folder", server.folder, "--format", "json"))
        assert (facts["endpoint"], facts["begin"], facts["end"], facts["reader"]) == ("orders", 0, 18, None)


def test_riacho_up_takes_events_and_reads_them(tmp_path: Path) -> None:
    with riacho_server(tmp_path, arguments=["--http", "127.0.0.1:0"]) as server:
        url = next(line for line in server.log.read_text().splitlines() if line.startswith("http"))
        with IngestClient(url) as client:
            client.send("orders", [{"id": 1}, {"id": 2}])
        spark = SparkSession.builder.remote(server.url).create()
        found = spark.read.format("ingest").option("endpoint", "orders").schema("id BIGINT").load()
        assert rows(found) == [(1,), (2,)]
        spark.stop()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ingest", "serve", "--http", "nowhere"], "is not HOST:PORT"),
        (["up", "--http", "host:99999"], "is not HOST:PORT"),
        (["ingest", "serve", "missing.yml"], "missing.yml cannot be read"),
        (["ingest", "send", "a", "x.parquet"], "is none of ndjson, json and csv"),
        (["ingest", "forget", "a", "b", "--folder", "nowhere"], "has no reader 'b'"),
        (["ingest", "serve", "-w", "s3://bucket/w"], "give --folder FOLDER"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        result = CliRunner().invoke(app, arguments)
    finally:
        os.chdir(before)
    assert result.exit_code
    assert says in " ".join(result.stderr.split())
