"""Made-up rows: the same for the same seed, in batches and as streams, on riacho and on Spark."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import batches, finish, until

FIELDS = {
    "number": "sequence",
    "id": "uuid",
    "user": {"type": "zipf", "values": 50, "as": "string"},
    "amount": {"type": "uniform", "min": 1, "max": 100000, "as": "decimal(10,2)"},
    "share": {"type": "uniform", "min": 0, "max": 1.0, "nulls": 0.25},
    "device": {"type": "choice", "values": {"TV": 3, "phone": 1}},
    "at": "timestamp",
    "plate": {"type": "pattern", "pattern": "^^^-#^##"},
    "place": {"fields": {"code": {"type": "foreign", "table": "places", "field": "code"}, "n": "sequence"}},
    "code": {"type": "foreign", "table": "places", "field": "code"},
    "tags": {"type": "array", "of": {"type": "choice", "values": ["a", "b"]}, "max": 2},
    "label": {"expression": "f'{upper(user)}-{number % 7}' if amount > 50000 else device"},
    "on": {"type": "date", "min": "2026-01-01", "max": "2026-12-31"},
}
TABLES = {"places": {"rows": 20, "fields": {"code": {"type": "sequence", "start": 100}, "size": "uniform"}}}
SHOP = {"seed": 7, "fields": FIELDS, "tables": TABLES, "rate": 100, "profile": {"0": 0.5, "1": 2}}
SCHEMA = (
    "struct<number:bigint,id:string,user:string,amount:decimal(10,2),share:double,device:string,at:timestamp,"
    "plate:string,place:struct<code:bigint,n:bigint>,code:bigint,tags:array<string>,label:string,on:date>"
)
ROWS_OF_SHOP = "b0228ffa4557c97c"
"""The beginning of a digest of its first 2,000 rows: another one means that seeds give other rows than before."""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    tmp_path.chmod(0o777)
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))
    return str(file)


def load(spark: SparkSession, **options: Any) -> DataFrame:
    given = {name: value if isinstance(value, str | int) else json.dumps(value) for name, value in options.items()}
    return spark.read.format("faker").options(**given).load()


def digest(frame: DataFrame) -> str:
    texts = frame.withColumn("amount", frame.amount.cast("string")).selectExpr("to_json(struct(*)) AS text")
    lines = sorted(row.text for row in texts.collect())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_the_same_seed_gives_the_same_rows(connectors: SparkSession, shop: str) -> None:
    frame = load(connectors, config=shop, count=2000)
    assert frame.schema.simpleString() == SCHEMA
    whole = digest(frame)
    assert whole.startswith(ROWS_OF_SHOP)
    assert digest(load(connectors, config=shop, count=2000, numPartitions=7)) == whole
    assert digest(load(connectors, config=shop, count=2000, seed=8)) != whole
    assert digest(load(connectors, config=shop, count=3000).where("number < 2000")) == whole


def test_what_rows_are_made_of(connectors: SparkSession, shop: str) -> None:
    frame = load(connectors, config=shop, count=20_000)
    row = frame.selectExpr(
        "count(DISTINCT id) = 20000 AND min(length(id)) = 36",
        "count_if(user = '1') / count_if(user = '2') BETWEEN 1.7 AND 2.3",
        "count_if(share IS NULL) / 20000 BETWEEN 0.23 AND 0.27 AND min(share) >= 0 AND max(share) < 1",
        "count_if(device = 'TV') / 20000 BETWEEN 0.73 AND 0.77",
        "bool_and(plate RLIKE '^[A-Z]{3}-[0-9][A-Z][0-9]{2}$')",
        "bool_and(place.code = code AND place.n = number AND code BETWEEN 100 AND 119)",
        "bool_and(size(tags) <= 2) AND max(size(tags)) = 2",
        "bool_and(label = IF(amount > 50000, concat(user, '-', number % 7), device))",
        "min(at) = '2026-01-01 00:00:00' AND max(number) = 19999 AND min(year(on)) = 2026",
        "count_if(hour(at) = 0) = 20000 AND max(at) > '2026-01-01 00:06:39' AND max(at) < '2026-01-01 00:06:40'",
    ).head()
    assert row is not None
    assert list(row) == [True] * len(row)
    places = load(connectors, config=shop, table="places")
    assert [place.code for place in places.orderBy("code").collect()] == list(range(100, 120))
    given = connectors.read.format("faker").schema("code INT, label STRING").option("config", shop)
    assert given.option("count", 3).load().select("code").collect() == load(
        connectors, config=shop, count=3
    ).selectExpr("CAST(code AS INT)").collect()  # fmt: skip
    assert load(connectors, config=shop, count=0).collect() == []


def test_fakers_values(connectors: SparkSession) -> None:
    fields = {
        "city": {"type": "city", "locale": "pt_BR", "pool": 20},
        "n": {"type": "pyint", "args": {"min_value": 5, "max_value": 7}, "pool": 100},
        "sku": {"type": "bothify", "args": ["##??"], "pool": 100, "unique": True},
        "born": "date_of_birth",
        "address": {"type": "address", "pool": 50},
    }
    row = load(connectors, fields=fields, count=5000).selectExpr(
        "count(DISTINCT city) <= 20", "min(n) = 5 AND max(n) = 7", "count(DISTINCT sku) BETWEEN 95 AND 100",
        "typeof(first(born)) = 'date'", "count_if(address LIKE '%\n%') = 0",
    ).head()  # fmt: skip
    assert row is not None
    assert list(row) == [True] * 5


def test_rates_bursts_and_bad_rows(connectors: SparkSession) -> None:
    fields = {
        "n": {"type": "sequence", "hidden": True},
        "id": {"type": "uniform", "min": 100, "max": 200},
        "at": {"type": "timestamp", "late": {"share": 0.1, "by": "30s"}},
        "seen": {"type": "timestamp"},
    }
    bursts = [{"at": "10m", "for": "1m", "rate": "3000/m", "fields": {"id": {"type": "uniform", "min": 1, "max": 3}}}]
    frame = load(
        connectors, fields=fields, bursts=bursts, profile={"0": 1, "1": 0, "2": 2}, rowsPerSecond="10", count=60_000
    )
    of = frame.selectExpr("id < 4 AS few", "date_format(seen, 'HH:mm') AS minute").groupBy("few", "minute").count()
    minutes = {(row.minute, row.few): row["count"] for row in of.collect()}
    assert minutes["00:09", False] == 600
    assert 2900 <= minutes["00:10", True] <= 3100
    assert minutes["00:10", False] + minutes["00:10", True] == 3600
    assert not any(minute.startswith("01:") for minute, _ in minutes)
    assert minutes["02:05", False] == 1200
    assert ("00:11", True) not in minutes
    late = frame.selectExpr(
        "count_if(at < seen) / 60000 BETWEEN 0.09 AND 0.11", "max(seen - at) <= INTERVAL 30 SECONDS"
    )
    assert list(late.head() or ()) == [True, True]
    bad = load(connectors, fields={"a": "sequence", "t": "timestamp"}, count=10_000, bad=0.3)
    assert bad.schema.names == ["a", "t"]
    found = bad.selectExpr(
        "(count_if(a IS NULL) + count_if(t IS NULL)) / 10000", "1 - count(DISTINCT a) / count(a)",
        "count_if(t > '2026-01-01 02:50:00') / 10000",
    ).head()  # fmt: skip
    assert all(0.08 < share < 0.12 for share in found or ())


def test_rows_as_json(connectors: SparkSession) -> None:
    fields = {
        "n": "sequence",
        "text": {"type": "choice", "values": ['a "b" \\ c\n\t', "é", "\u0001"]},
        "o": {"fields": {"f": {"type": "uniform", "max": 1.0}, "t": "timestamp", "none": {"type": "uuid", "nulls": 1}}},
        "l": {"type": "array", "of": "boolean", "min": 1, "max": 2},
        "d": {"type": "date", "min": "2026-01-01", "max": "2026-01-01"},
        "p": {"type": "uniform", "min": 1, "max": 9, "as": "decimal(5,2)"},
    }
    texts = [row.value for row in load(connectors, fields=fields, count=100, output="json").collect()]
    every = [json.loads(text) for text in texts]
    assert [value["n"] for value in every] == list(range(100))
    assert {value["text"] for value in every} == {'a "b" \\ c\n\t', "é", "\u0001"}
    assert all(
        value["o"]["none"] is None and 0 <= value["o"]["f"] < 1 and value["o"]["t"].endswith("Z") for value in every
    )
    assert {len(value["l"]) for value in every} == {1, 2}
    assert {value["d"] for value in every} == {"2026-01-01"}
    kinds = {"missing": 1, "type": 1, "malformed": 1}
    rotten = load(connectors, fields=fields, count=600, output="json", bad={"share": 0.5, "kinds": kinds}).collect()
    counts = {"malformed": 0, "missing": 0, "type": 0}
    for row in rotten:
        try:
            value = json.loads(row.value)
        except ValueError:
            counts["malformed"] += 1
            continue
        counts["missing"] += len(value) < len(fields)
        counts["type"] += "n/a" in value.values() or [] in value.values() or value.get("p") == "n/a"
    assert all(70 < count < 130 for count in counts.values()), counts


def stream(spark: SparkSession, **options: Any) -> DataFrame:
    given = {name: value if isinstance(value, str | int) else json.dumps(value) for name, value in options.items()}
    return spark.readStream.format("faker").options(**given).load()


def test_a_stream_has_the_rows_of_the_batch(connectors: SparkSession, shop: str, tmp_path: Path) -> None:
    writer = stream(connectors, config=shop, rowsPerBatch=700, count=2000, numPartitions=2).writeStream
    writer = writer.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    query = finish(writer.trigger(availableNow=True).start(str(tmp_path / "table")))
    assert batches(query) == [700, 700, 600]
    table = connectors.read.format("delta").load(str(tmp_path / "table"))
    assert digest(table).startswith(ROWS_OF_SHOP)
    more = stream(connectors, config=shop, rowsPerBatch=700, count=2500).writeStream.format("delta")
    more = more.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True)
    assert batches(finish(more.start(str(tmp_path / "table")))) == [500]
    assert digest(table.where("number < 2000")).startswith(ROWS_OF_SHOP)


def test_a_stream_follows_the_clock(connectors: SparkSession, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    fields = {"n": "sequence", "at": "timestamp"}
    past = stream(connectors, fields=fields, rowsPerSecond="0.001", start="2026-01-01", maxRowsPerBatch=10)
    writer = past.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c1"))
    query = writer.start(str(tmp_path / "t1"))
    until(query, lambda: len(batches(query)) >= 3)
    query.stop()
    assert set(batches(query)) == {10}
    live = stream(connectors, fields=fields, rowsPerSecond=50)
    query = (
        live.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c2")).start(str(tmp_path / "t2"))
    )
    until(query, lambda: len(batches(query)) >= 2)
    query.stop()
    assert all(count % 50 == 0 for count in batches(query))
    again = live.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c2"))
    finish(again.trigger(availableNow=True).start(str(tmp_path / "t2")))
    table = connectors.read.format("delta").load(str(tmp_path / "t2"))
    row = table.selectExpr("count(*) = count(DISTINCT n)", "max(n) + 1 = count(*)", "max(at) <= now()").head()
    assert list(row or ()) == [True, True, True]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 1}, "say what each column is made of"),
        ({"fields": {"a": "sequence"}}, "needs count"),
        ({"fields": {"a": "nmae"}, "count": 1}, "did you mean name"),
        ({"fields": {"a": {"type": "uniform", "maximum": 3}}, "count": 1}, "'maximum', which means nothing here"),
        ({"fields": {"a": {"type": "name", "locale": "xx_YY"}}, "count": 1}, "no locale 'xx_YY'"),
        ({"fields": {"a": {"type": "pyint", "args": {"x": 1}}}, "count": 1}, "cannot be called so"),
        ({"fields": {"a": {"type": "boolean", "share": 2}}, "count": 1}, "between 0 and 1"),
        ({"fields": {"a": {"type": "choice", "values": [1], "weights": [1, 2]}}, "count": 1}, "as many as values"),
        ({"fields": {"a": {"type": "choice", "values": [1, "x"]}}, "count": 1}, "must all be of one type"),
        ({"fields": {"a": {"expression": "b + 1"}}, "count": 1}, "there is no field 'b'"),
        ({"fields": {"a": {"expression": "a + 1"}}, "count": 1}, "refers to itself"),
        ({"fields": {"a": {"expression": "open('x')"}}, "count": 1}, "there is no function open"),
        ({"fields": {"a": {"expression": "1 +"}}, "count": 1}, "is not understood"),
        ({"fields": {"a": {"type": "foreign", "table": "t", "field": "x"}}, "count": 1}, "tables: t is not there"),
        ({"fields": {"a": {"type": "sequence", "as": "money"}}, "count": 1}, "as is 'money'"),
        ({"fields": {"a": {"type": "sequence", "start": 300, "as": "tinyint"}}, "count": 1}, "cannot be int8"),
        ({"fields": {"a": "sequence"}, "count": 1, "rate": "fast"}, "rows a second"),
        ({"fields": {"a": "sequence"}, "count": 1, "profile": [1, 2]}, "24 numbers"),
        ({"fields": {"a": "sequence"}, "count": 1, "bursts": [{"at": "1m"}]}, "needs for"),
        ({"fields": {"a": "sequence"}, "count": 1, "bad": {"kinds": ["type"]}}, "needs output: json"),
        ({"fields": {"a": "sequence"}, "count": 1, "output": "xml"}, "columns or json"),
        ({"fields": {"a": "sequence"}, "count": 1, "start": "noon"}, "must be a time"),
        ({"fields": {"a": "sequence"}, "table": "t"}, "there is no table 't'"),
        ({"config": "/no/such/file.json"}, "cannot be read"),
    ],
)
def test_descriptions_that_make_no_sense(connectors: SparkSession, options: dict[str, Any], told: str) -> None:
    with pytest.raises(PySparkException) as raised:
        load(connectors, **options).collect()
    assert told in str(raised.value)


def test_columns_that_are_not_made(connectors: SparkSession) -> None:
    reader = connectors.read.format("faker").schema("b INT").option("fields", '{"a": "sequence"}').option("count", 1)
    with pytest.raises(PySparkException, match="makes no column 'b'; it makes a"):
        reader.load().collect()
