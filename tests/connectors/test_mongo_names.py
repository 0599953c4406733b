"""What is riacho's own about MongoDB: old names, confs of the session, refused options, no secrets anywhere."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from riacho.testing.servers import riacho_server
from tests.connectors.mongo import Mongo
from tests.spec.support import finish, said

pytestmark = pytest.mark.riacho_only

SECRET = "s3cr3tpass"


def test_old_names_and_confs(spark: SparkSession, mongo: Mongo) -> None:
    mongo["a"].insert_one({"_id": 1})
    mongo["b"].insert_many([{"_id": 1}, {"_id": 2}])
    options = mongo.options("a")
    for name in ("mongo", "MongoDB", "com.mongodb.spark.sql", "com.mongodb.spark.sql.DefaultSource"):
        assert spark.read.format(name).options(**options).load().count() == 1
    place = f"{mongo.uri}/{mongo.database.name}"
    for key, value in {
        "spark.mongodb.read.connection.uri": f"{place}.a",
        "spark.mongodb.write.connection.uri": f"{place}.written",
        "spark.mongodb.comment": "from a session",
    }.items():
        spark.conf.set(key, value)
    assert spark.read.format("mongodb").load().count() == 1
    assert spark.read.format("mongodb").option("collection", "b").load().count() == 2
    spark.range(3).withColumnRenamed("id", "_id").write.format("mongodb").mode("append").save()
    assert len(mongo.documents("written")) == 3
    old = {"spark.mongodb.input.uri": f"{place}.b", "spark.mongodb.output.uri": f"{place}.old"}
    assert spark.read.format("mongo").options(**old).load().count() == 2
    spark.range(1).write.format("mongo").mode("append").options(**old).save()
    assert len(mongo.documents("old")) == 1


def test_options_that_are_refused(spark: SparkSession, mongo: Mongo) -> None:
    mongo["a"].insert_one({"_id": 1})

    def told(**more: Any) -> str:
        with pytest.raises(PySparkException) as caught:
            mongo.read(spark, "a", **more).collect()
        return said(caught.value)

    assert "does not support the option mongoClientFactory" in told(mongoClientFactory="com.example.Factory")
    assert "The partitioner 'nope' is not known" in told(partitioner="nope")
    assert "outputExtendedJson" in told(outputExtendedJson="yes")
    assert "must be a positive integer" in told(sampleSize="0")
    assert mongo.read(spark, "a", noSuchOption="x").count() == 1


def test_no_secret_is_shown(mongo: Mongo, tmp_path: Path) -> None:
    mongo["a"].insert_one({"_id": 1})
    uri = mongo.uri.replace("mongodb://", f"mongodb://ana:{SECRET}@")
    given = {"connection.uri": f"{uri}/{mongo.database.name}.a?authSource=admin&serverSelectionTimeoutMS=5000"}
    shown = []
    with riacho_server(tmp_path / "riacho") as server:
        spark = SparkSession.builder.remote(server.url).create()
        frame = spark.read.format("mongodb").options(**given).schema("_id INT").load()
        with redirect_stdout(StringIO()) as printed:
            frame.explain(extended=True)
        shown.append(printed.getvalue())
        with pytest.raises(PySparkException) as caught:
            frame.collect()
        shown.append(str(caught.value))
        stream = spark.readStream.format("mongodb").options(**given).schema("_id INT")
        stream = stream.option("change.stream.publish.full.document.only", "true")
        writer = stream.load().writeStream.format("memory").queryName("secret").trigger(availableNow=True)
        query = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).start()
        with pytest.raises(PySparkException) as caught:
            finish(query)
        shown += [str(caught.value), str(query.lastProgress), str(query.exception())]
        out = spark.range(1).withColumnRenamed("id", "_id").write.format("mongodb").mode("append").options(**given)
        with pytest.raises(PySparkException) as caught:
            out.save()
        shown.append(str(caught.value))
        shown.append(server.log.read_text())
        spark.stop()
    shown += [file.read_text() for file in (tmp_path / "checkpoint").rglob("*") if file.is_file()]
    for text in shown:
        assert SECRET not in text
