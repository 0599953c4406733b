"""`riacho quarantine`, end to end: what a run quarantined is listed, shown and replayed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from deltalake import DeltaTable

from riacho.cli.child import serving
from riacho.cli.session import connected
from riacho.testing.servers import Server
from tests.systems.test_cli import SPEC, riacho

RULES = """
CREATE STREAMING TABLE sound (
  id BIGINT, price BIGINT, name STRING,
  CONSTRAINT positive EXPECT ({positive}) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT named EXPECT (name IS NOT NULL) ON VIOLATION QUARANTINE ROW
) AS SELECT * FROM STREAM raw;
"""
ROWS = "VALUES (1L, 5L, 'a'), (2L, -5L, 'b'), (3L, -50L, NULL)"


@dataclass
class Shop:
    """A project, and a riacho that it runs on."""

    folder: Path
    url: str

    def do(self, command: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return riacho(*command.split(), self.folder / "shop", *words, "--remote", self.url, code=code)

    def edit(self, rules: str) -> None:
        (self.folder / "shop" / "transformations" / "sound.sql").write_text(rules)

    def ids(self, table: str) -> list[int]:
        found = DeltaTable(self.folder / "warehouse" / table).to_pyarrow_table(columns=["id"])
        return sorted(found["id"].to_pylist())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    project = tmp_path / "shop"
    (project / "transformations").mkdir(parents=True)
    storage = (tmp_path / "storage").as_uri()
    (project / "spark-pipeline.yml").write_text(SPEC.replace("file:///tmp/not-used-with-a-warehouse", storage))
    (project / "setup.sql").write_text(
        "CREATE TABLE IF NOT EXISTS raw (id BIGINT, price BIGINT, name STRING);"
        f"INSERT INTO raw SELECT * FROM ({ROWS}) WHERE NOT EXISTS (SELECT 1 FROM raw);"
    )
    with serving(tmp_path / "warehouse") as child:
        made = Shop(tmp_path, child.url())
        made.edit(RULES.format(positive="price > 0"))
        made.do("run")
        yield made


def test_a_rule_is_edited_and_rows_are_replayed(shop: Shop) -> None:
    listed = json.loads(shop.do("quarantine list", "--json").stdout)
    assert [(each["table"], each["rule"], each["rows"]) for each in listed] == [
        ("default.sound", "positive", 2),
        ("default.sound", "named", 1),
    ]
    told = shop.do("quarantine list")
    assert [line.split()[:4] for line in told.stdout.splitlines() if "positive" in line] == [
        ["default.sound", "2", "positive", "2"]
    ]
    shown = shop.do("quarantine show", "--rule", "named").stdout.splitlines()
    assert shown[0] == "default.sound positive, named  price > 0; name IS NOT NULL"
    assert shown[2] == "  id=3  price=-50  name=NULL"
    rows = json.loads(shop.do("quarantine show", "--table", "default.sound", "--json").stdout)
    assert {row["id"]: row["_quarantine"]["rules"] for row in rows} == {2: ["positive"], 3: ["positive", "named"]}

    shop.edit(RULES.format(positive="price > -10"))
    assert "would pass" in shop.do("quarantine replay", "--dry-run").stdout
    assert shop.ids("sound") == [1]
    done = shop.do("quarantine replay").stdout
    assert [line.split()[:5] for line in done.splitlines() if "sound" in line] == [
        ["default.sound", "2", "1", "0", "1"]
    ]
    assert "positive: 1" in done
    assert (shop.ids("sound"), shop.ids("sound_quarantine")) == ([1, 2], [3])

    riacho("sql", "UPDATE sound_quarantine SET price = 1, name = 'c'", "--remote", shop.url)
    shop.do("quarantine replay", "--table", "sound")
    assert (shop.ids("sound"), shop.ids("sound_quarantine")) == ([1, 2, 3], [])
    nothing = shop.do("quarantine replay")
    assert (nothing.stdout, nothing.stderr) == ("", "nothing to replay: no quarantined rows\n")
    assert shop.do("quarantine list").stderr == "no quarantined rows\n"


def test_what_cannot_be_replayed_is_one_line(shop: Shop) -> None:
    shop.edit(RULES.format(positive="price > 0").replace("QUARANTINE ROW", "FAIL UPDATE", 1))
    failed = shop.do("quarantine replay", code=1)
    assert failed.stderr.startswith("error: ")
    assert "break rules that fail its flow now: positive" in failed.stderr
    unknown = shop.do("quarantine replay", "--table", "nobody", code=1)
    assert "spark_catalog.default.nobody" in unknown.stderr
    assert shop.ids("sound_quarantine") == [2, 3]


IN_PYTHON = """
from riacho import pipelines as dp

@dp.table(name="default.{name}", format="delta")
@dp.expect_or_quarantine("positive", "price > {least}")
def sound():
    return spark.readStream.table("default.{name}_raw")
"""


@pytest.mark.spark_only
def test_on_a_spark_cluster(server: Server, tmp_path: Path) -> None:
    name = f"sound_{uuid4().hex[:8]}"
    file = tmp_path / "transformations" / "sound.py"
    file.parent.mkdir()
    configuration = "configuration: {spark.sql.sources.default: delta}"
    (tmp_path / "spark-pipeline.yml").write_text(
        f"name: shop\nstorage: {(tmp_path / 'storage').as_uri()}\ndatabase: default\n{configuration}\n"
        "libraries: [{glob: {include: transformations/**}}]\n"
    )
    file.write_text(IN_PYTHON.format(name=name, least=0))
    remote = ("--remote", server.url)
    tables = (f"{name}_raw", name, f"{name}_quarantine")
    with connected(server.url) as spark:
        try:
            rows = spark.sql(f"SELECT * FROM ({ROWS}) AS v (id, price, name)")
            rows.write.format("delta").saveAsTable(tables[0])
            riacho("run", tmp_path, *remote)
            listed = json.loads(riacho("quarantine", "list", tmp_path, "--json", *remote).stdout)
            assert [each["rows"] for each in listed if each["table"] == f"default.{name}"] == [2]
            file.write_text(IN_PYTHON.format(name=name, least=-10))
            assert "would pass" in riacho("quarantine", "replay", tmp_path, "--dry-run", *remote).stdout
            done = riacho("quarantine", "replay", tmp_path, "--table", name, *remote).stdout
            assert [line.split()[:5] for line in done.splitlines() if name in line] == [
                [f"default.{name}", "2", "1", "0", "1"]
            ]
            assert sorted(row.id for row in spark.table(name).collect()) == [1, 2]
            assert [row.id for row in spark.table(tables[2]).collect()] == [3]
        finally:
            for table in tables:
                spark.sql(f"DROP TABLE IF EXISTS {table}")
