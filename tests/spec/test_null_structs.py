"""A field of a struct that is null is null, wherever the rows come from."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.functions import explode
from pyspark.sql.types import StructType

from tests.spec.support import finish


def test_fields_of_null_structs_in_rows_of_the_client(spark: SparkSession) -> None:
    rows = [((True, 7, (1.5,)),), ((False, 8, None),), (None,)]
    frame = spark.createDataFrame(rows, "s STRUCT<x: BOOLEAN, y: INT, in: STRUCT<z: DOUBLE>>")
    fields = frame.selectExpr("s.x", "s.y", "s.in.z", "coalesce(s.y, -1)")
    assert [tuple(row) for row in fields.collect()] == [(True, 7, 1.5, 7), (False, 8, None, 8), (None, None, None, -1)]
    assert frame.where("s.x IS NULL").count() == 1
    assert frame.where("NOT s.x").count() == 1
    frame.createOrReplaceTempView("structs")
    assert [row.total for row in spark.sql("SELECT sum(s.in.z) total FROM structs").collect()] == [1.5]


def test_fields_of_null_structs_in_arrays_and_maps(spark: SparkSession) -> None:
    schema = "id INT, a ARRAY<STRUCT<x: INT>>, m MAP<STRING, STRUCT<x: INT>>"
    rows = [(1, [(7,), None], {"k": (8,), "l": None}), (2, None, None)]
    frame = spark.createDataFrame(rows, schema)
    found = frame.orderBy("id").selectExpr("a[0].x", "a[1].x", "m['k'].x", "m['l'].x").collect()
    assert [tuple(row) for row in found] == [(7, None, 8, None), (None, None, None, None)]
    assert [row.x for row in frame.select(explode("a").alias("s")).select("s.x").collect()] == [7, None]


def test_fields_of_null_structs_in_a_stream(spark: SparkSession, tmp_path: object) -> None:
    folder = f"{tmp_path}/in"
    rows = [((7,),), (None,)]
    spark.createDataFrame(rows, "s STRUCT<x: INT>").write.json(folder, ignoreNullFields=False)
    stream = spark.readStream.schema("s STRUCT<x: INT>").json(folder).selectExpr("s.x", "s.x IS NULL empty")
    query = stream.writeStream.format("delta").option("checkpointLocation", f"{tmp_path}/c")
    finish(query.trigger(availableNow=True).start(f"{tmp_path}/out"))
    found = spark.read.format("delta").load(f"{tmp_path}/out").collect()
    assert sorted((row.x or 0, row.empty) for row in found) == [(0, True), (7, False)]


def test_fields_of_null_structs_of_a_data_source(spark: SparkSession) -> None:
    """Their struct is null while the field is not, as far as Arrow keeps it."""

    class HalfNullReader(DataSourceReader):
        def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
            field = pa.array([7, 8], pa.int32())
            structs = pa.StructArray.from_arrays([field], ["x"], mask=pa.array([False, True]))
            yield pa.RecordBatch.from_arrays([structs], ["s"])

    class HalfNull(DataSource):
        @classmethod
        def name(cls) -> str:
            return "half_null"

        def schema(self) -> str:
            return "s STRUCT<x: INT>"

        def reader(self, schema: StructType) -> DataSourceReader:
            return HalfNullReader()

    spark.dataSource.register(HalfNull)
    frame = spark.read.format("half_null").load()
    assert sorted(map(tuple, frame.selectExpr("coalesce(s.x, -1)", "s IS NULL").collect())) == [(-1, True), (7, False)]
    assert frame.where("s.x = 8").count() == 0
