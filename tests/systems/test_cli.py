"""The command line end to end: real processes, real servers, real tables."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from riacho.cli.child import serving
from riacho.cli.failures import CommandError
from riacho.cli.session import OWN_RETRIES, connected
from riacho.testing.servers import Server

LIMIT_S = 60
COMMAND = [sys.executable, "-m", "riacho"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")}


def riacho(*words: str | Path, folder: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; it must end with `code`."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@contextmanager
def up(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`riacho up` on a free port."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*COMMAND, "up", "--port", "0", *words], env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process: subprocess.Popen[str]) -> int:
    """The port in the first line that the server prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("sc://localhost:")
    return int(line.removeprefix("sc://localhost:"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_says_its_address_first_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with up("--warehouse", str(tmp_path / "lake")) as process:
        port = port_of(process)
        socket.create_connection(("127.0.0.1", port), 5).close()
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 0
    assert out == ""
    assert err == f"tables in {tmp_path / 'lake'} · Ctrl-C stops\nstopped\n"


def test_up_as_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    with up("--warehouse", str(tmp_path), "--until-eof") as process:
        port_of(process)
        process.communicate(timeout=LIMIT_S)  # closes its standard input
    assert process.returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process has loaded is read from /proc")
def test_up_serves_without_pandas(tmp_path: Path) -> None:
    with up("--warehouse", str(tmp_path)) as process:
        with connected(f"sc://localhost:{port_of(process)}") as spark:
            rows = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 10).load()
            query = rows.writeStream.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True)
            query.toTable("numbers").awaitTermination(LIMIT_S)
            assert spark.table("numbers").count() > 0
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
    assert "/pyarrow/" in loaded
    assert "/pandas/" not in loaded


def test_up_where_the_warehouse_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    done = riacho("up", "--port", "0", "--warehouse", tmp_path / "lake", code=1)
    assert (done.stdout, done.stderr) == ("", f"error: File exists: {tmp_path / 'lake'}\n")


def test_up_warns_when_others_can_reach_it(tmp_path: Path) -> None:
    with up("--warehouse", str(tmp_path), "--host", "0.0.0.0") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(
            "warning: whoever can reach 0.0.0.0:0 can read and change the tables"
        )


def test_up_on_a_taken_port_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = riacho("up", "--port", str(port), "--warehouse", tmp_path, code=1)

    assert done.stdout == ""
    assert done.stderr.startswith(f"error: Cannot listen on 127.0.0.1:{port}: another program has that port")
    assert done.stderr.count("\n") == 1


def test_sql_for_programs(server: Server) -> None:
    rows = json.loads(
        riacho("sql", "SELECT 1 AS a, 'x' AS b; SELECT 2 AS c", "--format", "json", "--remote", server.url).stdout
    )
    assert rows == [{"c": 2}]

    text = riacho("sql", "SELECT 1.50 AS a, NULL AS b", "--format", "csv", "--remote", server.url).stdout
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["1.50", ""]]


def test_sql_for_people(server: Server) -> None:
    done = riacho("sql", "SELECT id FROM range(5)", "--limit", "3", "--remote", server.url)

    assert [line.strip() for line in done.stdout.splitlines() if line.strip()][2:] == ["0", "1", "2"]
    assert done.stderr == "the first 3 rows; --limit 0 shows all\n"


def test_sql_that_fails_is_one_line_with_the_way_out(server: Server) -> None:
    done = riacho("sql", "SELECT * FROM nowhere", "--remote", server.url, code=1)

    assert done.stdout == ""
    assert done.stderr.startswith("error: [TABLE_OR_VIEW_NOT_FOUND]")
    assert done.stderr.endswith("→ `riacho tables` lists the tables of a warehouse\n")
    assert done.stderr.count("\n") == 1


def test_tables_of_a_server(server: Server) -> None:
    database = f"listed_{uuid4().hex[:8]}"
    with connected(server.url) as spark:
        spark.sql(f"CREATE DATABASE {database}")
        spark.sql(f"CREATE TABLE {database}.numbers USING DELTA COMMENT 'Some' AS SELECT id FROM range(5)")
        spark.sql(f"CREATE VIEW {database}.odd AS SELECT * FROM {database}.numbers WHERE id % 2 = 1")
        try:
            told = riacho("tables", database, "--remote", server.url, "--format", "json").stdout
            shown = riacho("tables", "--remote", server.url)
        finally:
            spark.sql(f"DROP DATABASE {database} CASCADE")

    numbers, odd = json.loads(told)
    assert (numbers["name"], numbers["kind"], numbers["rows"]) == (f"{database}.numbers", "delta", 5)
    assert (numbers["version"], numbers["comment"]) == (0, "Some")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(numbers["changed"])).total_seconds()) < LIMIT_S
    assert numbers["location"].endswith("/numbers")
    assert (odd["name"], odd["kind"], odd["rows"]) == (f"{database}.odd", "view", None)
    assert f"{database}.numbers" in shown.stdout
    assert shown.stderr == f"{server.url}\n"


SPEC = """
name: shop
storage: file:///tmp/not-used-with-a-warehouse
libraries:
  - glob: {include: transformations/**}
"""
ORDERS = """
from pyspark import pipelines as dp

print("loading orders")

@dp.materialized_view(comment="All orders")
def orders():
    return spark.range(3)
"""
TOTALS = "CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS orders FROM orders;"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    project = tmp_path / "shop"
    (project / "transformations").mkdir(parents=True)
    (project / "spark-pipeline.yml").write_text(SPEC)
    (project / "transformations" / "orders.py").write_text(ORDERS)
    (project / "transformations" / "totals.sql").write_text(TOTALS)
    return project


def test_run_brings_a_project_up_to_date(shop: Path) -> None:
    checked = riacho("run", shop, "--dry-run", folder=shop.parent)
    assert "✓ the pipeline is valid; nothing was run" in checked.stdout
    assert not list((shop.parent / "warehouse").glob("*/_delta_log"))

    ran = riacho("run", shop, folder=shop.parent)
    lines = ran.stdout.splitlines()
    assert lines[0] == f"shop · {shop.parent / 'warehouse'}"
    assert lines[1] == "loading orders"
    assert [line.split()[:2] for line in lines[2:4]] == [["✓", "default.orders"], ["✓", "default.totals"]]
    assert lines[4].startswith("✓ 2 flows completed in ")
    assert ran.stderr == ""
    assert DeltaTable(shop.parent / "warehouse" / "totals").to_pyarrow_table().to_pylist() == [{"orders": 3}]

    listed = json.loads(riacho("tables", "--format", "json", folder=shop.parent).stdout)
    assert [(table["name"], table["rows"], table["comment"]) for table in listed] == [
        ("default.orders", 3, "All orders"),
        ("default.totals", 1, None),
    ]


def test_run_on_a_server_and_a_name_that_nobody_has(shop: Path, server: Server) -> None:
    done = riacho("run", shop, "--remote", server.url, "--refresh", "nobody", folder=shop.parent)

    assert "✓ 0 flows completed" in done.stdout
    assert done.stderr == "warning: nothing was refreshed: no table here is called nobody\n"
    assert not (shop.parent / "warehouse").exists()


def test_run_that_cannot_work_ends_with_1(shop: Path) -> None:
    (shop / "transformations" / "totals.sql").write_text(TOTALS.replace("FROM orders", "FROM nowhere"))
    done = riacho("run", shop, folder=shop.parent, code=1)

    assert "  ✗ default.totals\n    [TABLE_OR_VIEW_NOT_FOUND]" in done.stdout
    assert done.stderr.startswith("error: Failed to resolve flows in the pipeline.")
    assert done.stderr.count("\n") == 1


def test_run_whose_flow_fails_tells_which_and_why(shop: Path) -> None:
    (shop / "transformations" / "totals.sql").write_text(
        TOTALS.replace("count(*)", "CAST(raise_error('out of stock') AS INT)")
    )
    once = ("--conf", "spark.sql.pipelines.maxFlowRetryAttempts=0")
    done = riacho("run", shop, *once, folder=shop.parent, code=1)

    assert "  ✓ default.orders" in done.stdout
    assert "  ✗ default.totals" in done.stdout
    assert "out of stock" in done.stdout
    assert done.stderr.startswith("error: default.totals failed: ")
    assert done.stderr.count("\n") == 1


def test_run_names_the_line_of_a_definition_that_breaks(shop: Path) -> None:
    (shop / "transformations" / "orders.py").write_text(ORDERS.replace("dp.mat", "dp.immat"))
    done = riacho("run", shop, folder=shop.parent, code=1)

    assert done.stderr.startswith("error: transformations/orders.py, line 6: AttributeError: ")
    assert done.stderr.count("\n") == 1


def test_a_server_that_dies_is_given_up_and_blamed(tmp_path: Path) -> None:
    with serving(tmp_path) as child, connected(child.url(), retries=OWN_RETRIES) as spark:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(CommandError, match="the server was killed by signal 9"), child.blamed():
            spark.range(1).count()


def test_doctor_uses_what_it_checks(tmp_path: Path) -> None:
    lines = riacho("doctor", "--warehouse", tmp_path, "--port", "0").stdout.splitlines()

    assert {line.split()[0] for line in lines if not line.startswith(" ")} - {"warn"} == {"ok"}
    assert any(line.startswith("ok   server         started and connected in ") for line in lines)


def test_demo_answers_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = riacho("demo", folder=tmp_path).stdout
    landed = rows_that_can_be_read(tmp_path / "demo" / "landing")
    assert bronze_rows(tmp_path / "demo" / "warehouse") == landed > 4_000
    for number in range(1, 7):
        assert f"\n{number}. " in first  # an answer's title
    assert f"{landed:,}" in first
    assert "Try next" in first

    second = riacho("demo", folder=tmp_path).stdout
    more = rows_that_can_be_read(tmp_path / "demo" / "landing")
    assert bronze_rows(tmp_path / "demo" / "warehouse") == more > landed
    assert "76 files of an earlier run are there already" in second
    assert f"{more:,}" in second


def rows_that_can_be_read(landing: Path) -> int:
    """Rows in the files below; one that is cut off has none."""
    whole = [path for path in landing.glob("*/*/*.parquet") if path.read_bytes()[-4:] == b"PAR1"]
    assert len(whole) < len(list(landing.glob("*/*/*.parquet")))
    return sum(pq.read_metadata(path).num_rows for path in whole)


def bronze_rows(warehouse: Path) -> int:
    return sum(DeltaTable(table).count() for table in (warehouse / "bronze.db").iterdir())


def test_new_projects_run_at_once(tmp_path: Path) -> None:
    riacho("init", "my shop", folder=tmp_path)
    riacho("run", "my shop", folder=tmp_path)
    told = riacho("sql", "SELECT count(*) AS n FROM my_shop.daily", "--format", "json", folder=tmp_path)
    assert json.loads(told.stdout) == [{"n": 2}]
    made = [sys.executable, "-m", "pyspark.pipelines.cli", "init", "--name", "sparks"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT_S)
    assert "2 flows completed" in riacho("run", "sparks", folder=tmp_path).stdout
