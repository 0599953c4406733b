"""`df.write` of files: what lies in the folder afterwards, to the letter."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import rows

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def files(folder: Path) -> dict[str, Path]:
    """The files below a folder by their paths, with `*` for what is made up; no checksums of Hadoop's."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".crc"]
    return {_UUID.sub("*", path.relative_to(folder).as_posix()): path for path in found}


def texts(folder: Path) -> dict[str, str]:
    return {name: path.read_bytes().decode() for name, path in files(folder).items()}


def only(folder: Path) -> str:
    """The text of the one file with rows."""
    (text,) = [text for name, text in texts(folder).items() if name != "_SUCCESS"]
    return text


def one(spark: SparkSession, sql: str) -> DataFrame:
    return spark.sql(sql).coalesce(1)


def failure(act: Callable[[], Any]) -> str:
    """The condition of the error, or its class and text where it has none that is official."""
    with pytest.raises(PySparkException) as caught:
        act()
    condition = caught.value.getCondition()
    return condition if condition and not condition.startswith("_LEGACY") else str(caught.value).split("\n")[0]


def table(spark: SparkSession) -> DataFrame:
    values = [(1, "a"), (2, None), (3, ""), (4, "a/b c:d=%")]
    return spark.createDataFrame(values, "i INT, s STRING").coalesce(1)


SCALARS = """
SELECT * FROM VALUES
  (1, CAST(1.5 AS FLOAT), 1e20D, 'q"uo\\\\te', true, DATE'2024-02-29', TIMESTAMP'2024-01-01 01:02:03.456789',
   TIMESTAMP_NTZ'2024-01-01 01:02:03', 1.50BD, CAST(-3 AS TINYINT)),
  (2, CAST(1e10 AS FLOAT), CAST('NaN' AS DOUBLE), 'a,b\\nc\\td', false, DATE'-0044-03-15',
   TIMESTAMP'1800-01-01 00:00:00', TIMESTAMP_NTZ'9999-12-31 23:59:59.123', -0.05BD, NULL),
  (3, CAST(0.1 AS FLOAT), CAST('-Infinity' AS DOUBLE), '', NULL, DATE'+12345-01-01',
   TIMESTAMP'1969-12-31 23:59:59.999999', NULL, 0.00BD, NULL),
  (4, NULL, 1e7D, '  ünï😀\\u0001  ', NULL, NULL, TIMESTAMP'+10000-01-01 00:00:00', NULL, NULL, NULL),
  (5, CAST(9.9E-4 AS FLOAT), -1.5E-7D, '#x', NULL, NULL, NULL, NULL, NULL, NULL),
  (6, NULL, 123456789.125D, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
AS t(i, f, d, s, b, dt, ts, tn, dec, ti) ORDER BY i
"""


def test_values_as_json(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    one(spark, SCALARS).write.json(str(tmp_path / "json"))
    assert only(tmp_path / "json").splitlines() == [
        (
            r'{"i":1,"f":1.5,"d":1.0E20,"s":"q\"uo\\te","b":true,"dt":"2024-02-29","ts":"2024-01-01T01:02:03.456-03:00",'
            '"tn":"2024-01-01T01:02:03.000","dec":1.50,"ti":-3}'
        ),
        (
            r'{"i":2,"f":1.0E10,"d":"NaN","s":"a,b\nc\td","b":false,"dt":"-0044-03-15",'
            '"ts":"1800-01-01T00:00:00.000-03:06:28","tn":"9999-12-31T23:59:59.123","dec":-0.05}'
        ),
        '{"i":3,"f":0.1,"d":"-Infinity","s":"","dt":"+12345-01-01","ts":"1969-12-31T23:59:59.999-03:00","dec":0.00}',
        '{"i":4,"d":1.0E7,"s":"  ünï😀\\u0001  ","ts":"+10000-01-01T00:00:00.000-03:00"}',
        '{"i":5,"f":9.9E-4,"d":-1.5E-7,"s":"#x"}',
        '{"i":6,"d":1.23456789125E8}',
    ]
    full = """
    SELECT 1 i, named_struct('a', 1, 'b', CAST(null AS STRING)) s, array(1, null) l, map('k"', 1, 'n', null) m,
      array(named_struct('x', TIMESTAMP'2024-01-01 00:00:00', 'y', 1e20D, 'z', X'4142')) ls,
      map(DATE'2024-01-01', array('x"')) md, 1E-10BD e
    """
    columns = (
        "i INT, s STRUCT<a: INT, b: STRING>, l ARRAY<INT>, m MAP<STRING, INT>, ls ARRAY<INT>, md MAP<INT, INT>, "
        "e DECIMAL(20, 10)"
    )
    hollow = spark.createDataFrame(
        [(2, None, [], {}, None, None, None), (3, (None, None), None, None, [], {}, Decimal(0))], columns
    ).coalesce(1)
    one(spark, full).write.json(str(tmp_path / "nested"))
    assert only(tmp_path / "nested").splitlines() == [
        (
            r'{"i":1,"s":{"a":1},"l":[1,null],"m":{"k\"":1,"n":null},"ls":[{"x":"2024-01-01T00:00:00.000-03:00",'
            r'"y":1.0E20,"z":"QUI="}],"md":{"19723":["x\""]},"e":1E-10}'
        ),
    ]
    hollow.write.json(str(tmp_path / "hollow"))
    assert only(tmp_path / "hollow").splitlines() == [
        '{"i":2,"l":[],"m":{}}',
        '{"i":3,"s":{},"ls":[],"md":{},"e":0E-10}',
    ]
    hollow.write.option("ignoreNullFields", "false").json(str(tmp_path / "nulls"))
    assert only(tmp_path / "nulls").splitlines() == [
        '{"i":2,"s":null,"l":[],"m":{},"ls":null,"md":null,"e":null}',
        '{"i":3,"s":{"a":null,"b":null},"l":null,"m":null,"ls":[],"md":{},"e":0E-10}',
    ]
    all_null = "SELECT CAST(null AS INT) a, CAST(null AS STRING) b UNION ALL SELECT 1, null ORDER BY a"
    one(spark, all_null).write.json(str(tmp_path / "all_null"), lineSep="|")
    assert only(tmp_path / "all_null") == '{}|{"a":1}|'


def test_values_as_csv(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    one(spark, SCALARS).write.csv(str(tmp_path / "csv"), header=True)
    assert only(tmp_path / "csv").split("\n") == [
        "i,f,d,s,b,dt,ts,tn,dec,ti",
        r'1,1.5,1.0E20,"q\"uo\\te",true,2024-02-29,2024-01-01T01:02:03.456-03:00,2024-01-01T01:02:03.000,1.50,-3',
        '2,1.0E10,NaN,"a,b',
        'c\td",false,-0044-03-15,1800-01-01T00:00:00.000-03:06:28,9999-12-31T23:59:59.123,-0.05,',
        '3,0.1,-Infinity,"",,+12345-01-01,1969-12-31T23:59:59.999-03:00,,0.00,',
        "4,,1.0E7,ünï😀,,,+10000-01-01T00:00:00.000-03:00,,,",
        "5,9.9E-4,-1.5E-7,#x,,,,,,",
        "6,,1.23456789125E8,,,,,,,",
        "",
    ]


ODD = [
    " a\n", "\n", "a,\\b", "a\r\nb", "\u00a0x\u00a0", "x,", " , ", "#a", "a#", '"', '""', "'", 'a"', 'é,"\\', "NULL",
    "\t", "", None, 'q"b', "c\\d", '\\"', " ", "|", ";;",
]  # fmt: skip
PLAIN_ODD = [
    '"a"', '""', '"a,\\\\b"', '"a\r\nb"', "\u00a0x\u00a0", '"x,"', '","', '"#a"', "a#", '"\\""', '"\\"\\""', "'",
    '"a\\""', '"é,\\"\\\\"', "NULL", '""', '""', '"q\\"b"', "c\\d", '"\\\\\\""', '""', "|", ";;",
]  # fmt: skip
"""The lines of these; a null alone makes none."""


def test_quoting_in_csv(spark: SparkSession, tmp_path: Path) -> None:
    column = spark.createDataFrame([(text,) for text in ODD], "s STRING").coalesce(1)
    frame = column.select(F.lit(1).alias("i"), "s")

    def written(of: DataFrame, **options: Any) -> str:
        of.write.mode("overwrite").options(**options).csv(str(tmp_path / "csv"))
        return only(tmp_path / "csv")

    assert written(column) == "".join(f"{line}\n" for line in PLAIN_ODD)
    two = [line.replace('"#a"', "#a") for line in PLAIN_ODD]
    two.insert(ODD.index(None), "")
    assert written(frame) == "".join(f"1,{line}\n" for line in two)
    assert written(frame, lineSep="\r\n") == "".join("1,{}\r\n".format(line.replace("\n", "\r\n")) for line in two)
    some = frame.where(F.col("s").isin('q"b', "c\\d", '\\"', "x,", "|", ";;", "", "#a", "'") | F.col("s").isNull())
    lines = written(some, quoteAll=True).splitlines()
    assert lines == [f'"1",{x}' for x in (
        '"x,"', '"#a"', '"\'"', '""', '""', '"q\\"b"', '"c\\\\d"', '"\\\\\\""', '"|"', '";;"'
    )]  # fmt: skip
    assert written(some, escapeQuotes=False).splitlines() == [f"1,{x}" for x in (
        '"x,"', "#a", "'", '""', "", 'q"b', "c\\d", '\\"', "|", ";;"
    )]  # fmt: skip
    assert written(some, escape='"').splitlines()[5:8] == ['1,"q""b"', "1,c\\d", '1,"\\"""']
    assert written(some, charToEscapeQuoteEscaping="~").splitlines()[7] == '1,"~\\\\""'
    assert written(some, quote="'").splitlines()[:4] == ["1,'x,'", "1,#a", "1,'\\''", '1,""']
    assert written(some, sep=";;", nullValue="NA", emptyValue="E").splitlines() == [f"1;;{x}" for x in (
        "x,", "#a", "'", "E", "NA", '"q\\"b"', "c\\d", '"\\\\\\""', "|", '";;"'
    )]  # fmt: skip
    spaces = frame.where("s IN (' ', ' , ')")
    assert written(spaces, ignoreLeadingWhiteSpace=False, ignoreTrailingWhiteSpace=False) == '1," , "\n1, \n'
    names = spark.range(1).toDF(' x"y').select("*", F.lit(1.5).alias("#b")).coalesce(1)
    assert written(names, header=True, sep=".") == '"x\\"y".#b\n0."1.5"\n'
    assert written(spark.range(0).coalesce(1), header=True) == "id\n"


def test_dates_and_times_by_pattern(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    frame = one(
        spark,
        "SELECT TIMESTAMP'2024-03-05 13:04:09.056789' t, DATE'2024-03-05' d, TIMESTAMP_NTZ'1969-12-31 23:59:59.9' n",
    )

    def written(pattern: str, date: str = "yyyy", ntz: str = "yyyy", **options: str) -> str:
        writer = frame.write.mode("overwrite").option("timestampFormat", pattern).option("dateFormat", date)
        writer.option("timestampNTZFormat", ntz).options(**options).csv(str(tmp_path / "csv"), sep="|")
        return only(tmp_path / "csv")

    assert written("yyyy/MM/dd HH:mm:ss.SSSSSSXXX", "dd.MM.yy", "yyyy-MM-dd'T'[XXX]") == (
        "2024/03/05 13:04:09.056789-03:00|05.03.24|1969-12-31T\n"
    )
    assert (
        written("EEE, d MMM y h:mm a", "EEEE D", "HH 'o''clock' S")
        == "Tue, 5 Mar 2024 1:04 PM|Tuesday 65|23 o'clock 9\n"
    )
    assert written("X XX xxx Z ZZZZ O VV", "MMMM yyyyy", "QQQ k K DDD") == (
        "-03 -0300 -03:00 -0300 GMT-03:00 GMT-3 America/Sao_Paulo|March 02024|Q4 23 11 365\n"
    )
    assert written("HH:mm XXX", timeZone="Asia/Kathmandu") == "21:49 +05:45|2024|1969\n"
    assert failure(lambda: written("yyyy n")) == "INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER"


def test_text(spark: SparkSession, tmp_path: Path) -> None:
    frame = table(spark).select("s")
    frame.write.text(str(tmp_path / "text"))
    assert texts(tmp_path / "text") == {"_SUCCESS": "", "part-00000-*-c000.txt": "a\n\n\na/b c:d=%\n"}
    frame.write.text(str(tmp_path / "sep"), lineSep="||")
    assert only(tmp_path / "sep") == "a||||||a/b c:d=%||"
    assert failure(lambda: table(spark).write.text(str(tmp_path / "no"))) == "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"
    assert "only a single column" in failure(
        lambda: frame.select("s", "s").toDF("a", "b").write.text(str(tmp_path / "no"))
    )
    assert not (tmp_path / "no").exists()


class TestLayout:
    def test_modes(self, spark: SparkSession, tmp_path: Path) -> None:
        frame, path = table(spark), tmp_path / "t"
        frame.write.json(str(path))
        name = "part-00000-*-c000.json"
        assert texts(path) == {
            "_SUCCESS": "",
            name: '{"i":1,"s":"a"}\n{"i":2}\n{"i":3,"s":""}\n{"i":4,"s":"a/b c:d=%"}\n',
        }
        assert failure(lambda: frame.write.json(str(path))) == "PATH_ALREADY_EXISTS"
        frame.write.mode("ignore").csv(str(path))
        assert list(files(path)) == ["_SUCCESS", name] or sorted(files(path)) == ["_SUCCESS", name]
        frame.write.mode("append").json(str(path))
        assert len([p for p in path.iterdir() if p.suffix == ".json"]) == 2
        (path / "sub").mkdir()
        frame.where("i = 1").write.mode("overwrite").json(str(path))
        assert texts(path) == {"_SUCCESS": "", name: '{"i":1,"s":"a"}\n'}
        assert sorted(p.name for p in path.iterdir() if p.is_dir()) == []

    def test_one_file_in_order(self, spark: SparkSession, tmp_path: Path) -> None:
        frame = spark.range(50_000).repartition(4).orderBy(F.desc("id"))
        frame.coalesce(1).write.csv(str(tmp_path / "a"))
        assert only(tmp_path / "a") == "".join(f"{i}\n" for i in range(49_999, -1, -1))
        spark.range(1000).repartition(1).write.parquet(str(tmp_path / "b"))
        assert sorted(files(tmp_path / "b")) == ["_SUCCESS", "part-00000-*-c000.snappy.parquet"]

    def test_without_rows_there_is_a_schema(self, spark: SparkSession, tmp_path: Path) -> None:
        none = table(spark).where("i < 0")
        for form, extension in (
            ("parquet", ".snappy.parquet"),
            ("orc", ".zstd.orc"),
            ("avro", ".snappy.avro"),
            ("json", ".json"),
            ("csv", ".csv"),
        ):
            none.write.format(form).save(str(tmp_path / form))
            assert sorted(files(tmp_path / form)) == ["_SUCCESS", f"part-00000-*-c000{extension}"]
        assert spark.read.parquet(str(tmp_path / "parquet")).schema == none.schema
        none.write.partitionBy("s").json(str(tmp_path / "by"))
        assert sorted(files(tmp_path / "by")) == ["_SUCCESS"]

    def test_partitions(self, spark: SparkSession, tmp_path: Path) -> None:
        frame, path = table(spark), tmp_path / "t"
        frame.write.partitionBy("S").json(str(path))
        found = {name: sorted(text.splitlines()) for name, text in texts(path).items()}
        file = "part-00000-*.c000.json"
        assert found == {
            "_SUCCESS": [],
            f"S=__HIVE_DEFAULT_PARTITION__/{file}": ['{"i":2}', '{"i":3}'],
            f"S=a/{file}": ['{"i":1}'],
            f"S=a%2Fb c%3Ad%3D%25/{file}": ['{"i":4}'],
        }
        new = frame.where("i < 3").select(F.col("i") + 10, F.col("s").alias("S")).toDF("i", "S")
        new.write.mode("overwrite").option("partitionOverwriteMode", "dynamic").partitionBy("S").json(str(path))
        assert rows(spark.read.json(str(path)).select("i")) == [(11,), (12,), (4,)]
        new.write.mode("overwrite").partitionBy("S").json(str(path))
        assert rows(spark.read.json(str(path)).select("i")) == [(11,), (12,)]
        typed = (
            """SELECT 1 x, TIMESTAMP'2024-01-01 01:02:03.5' t, 1e20D d, true b, 1.50BD e, DATE'2024-01-01' f, X'41' g"""
        )
        one(spark, typed).write.partitionBy("t", "d", "b", "e", "f", "g").json(str(tmp_path / "typed"))
        (name,) = [name for name in files(tmp_path / "typed") if name != "_SUCCESS"]
        assert name == f"t=2024-01-01 01%3A02%3A03.5/d=1.0E20/b=true/e=1.50/f=2024-01-01/g=A/{file}"
        assert failure(lambda: frame.write.partitionBy("i", "s").json(str(tmp_path / "no"))) == (
            "ALL_PARTITION_COLUMNS_NOT_ALLOWED"
        )
        assert "Partition column `zz` not found in schema struct<i:int,s:string>" in failure(
            lambda: frame.write.partitionBy("zz").json(str(tmp_path / "no"))
        )

    def test_most_rows_in_a_file(self, spark: SparkSession, tmp_path: Path) -> None:
        frame = table(spark)
        frame.write.option("maxRecordsPerFile", 3).csv(str(tmp_path / "a"))
        assert texts(tmp_path / "a") == {
            "_SUCCESS": "",
            "part-00000-*-c000.csv": '1,a\n2,\n3,""\n',
            "part-00000-*-c001.csv": "4,a/b c:d=%\n",
        }
        frame.withColumn("k", F.lit(1)).write.option("maxRecordsPerFile", 3).partitionBy("k").csv(str(tmp_path / "b"))
        assert sorted(texts(tmp_path / "b")) == ["_SUCCESS", "k=1/part-00000-*.c000.csv", "k=1/part-00000-*.c001.csv"]

    def test_nothing_is_seen_of_a_write_that_fails(self, spark: SparkSession, tmp_path: Path) -> None:
        broken = spark.range(0, 100_000, 1, 4).select(F.when(F.col("id") == 99_999, F.raise_error(F.lit("boom"))))
        for form in ("json", "parquet"):
            with pytest.raises(PySparkException, match="boom"):
                broken.toDF("x").write.format(form).save(str(tmp_path / form))
            assert files(tmp_path / form) == {}
        table(spark).write.json(str(tmp_path / "kept"))
        with pytest.raises(PySparkException, match="boom"):
            broken.toDF("x").write.mode("append").json(str(tmp_path / "kept"))
        assert spark.read.json(str(tmp_path / "kept")).count() == 4

    def test_refused(self, spark: SparkSession, tmp_path: Path) -> None:
        frame, path = table(spark), str(tmp_path / "t")
        assert failure(lambda: frame.write.bucketBy(2, "i").json(path)).startswith("'save' does not support bucketBy")
        assert failure(lambda: frame.write.sortBy("i").json(path)) == "SORT_BY_WITHOUT_BUCKETING"
        assert "'path' is not specified" in failure(lambda: frame.write.format("json").save())
        assert failure(lambda: frame.write.format("binaryFile").save(path)) == (
            "UNSUPPORTED_FEATURE.WRITE_FOR_BINARY_SOURCE"
        )
        assert failure(lambda: frame.select("i", "i").write.json(path)) == "COLUMN_ALREADY_EXISTS"
        assert failure(lambda: frame.select().write.parquet(path)) == "EMPTY_SCHEMA_NOT_SUPPORTED_FOR_DATASOURCE"
        lists = frame.select(F.array("i").alias("l"))
        assert failure(lambda: lists.write.csv(path)) == "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"
        assert failure(lambda: frame.select(F.lit(None)).write.orc(path)) == "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"
        assert 'For input string: "x"' in failure(lambda: frame.write.option("maxRecordsPerFile", "x").json(path))
        for form in ("json", "parquet", "orc"):
            write = frame.write.option("compression", "foo").format(form)
            assert failure(partial(write.save, path)) == "CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION"
        avro = frame.write.format("avro").option("compression", "foo")
        assert failure(lambda: avro.save(path)) == "CODEC_SHORT_NAME_NOT_FOUND"
        assert failure(lambda: frame.write.json(path, encoding="foo")) == "INVALID_PARAMETER_VALUE.CHARSET"
        assert "'lineSep' cannot be an empty string" in failure(lambda: frame.write.csv(path, lineSep=""))
        assert not Path(path).exists()


def test_compression(spark: SparkSession, tmp_path: Path) -> None:
    frame = table(spark)
    lines = b'1,a\n2,\n3,""\n4,a/b c:d=%\n'
    unpack: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "gzip": (".csv.gz", gzip.decompress),
        "deflate": (".csv.deflate", zlib.decompress),
        "none": (".csv", bytes),
        "org.apache.hadoop.io.compress.GzipCodec": (".csv.gz", gzip.decompress),
    }
    for codec, (extension, unpacked) in unpack.items():
        frame.write.mode("overwrite").csv(str(tmp_path / "csv"), compression=codec)
        assert unpacked(files(tmp_path / "csv")[f"part-00000-*-c000{extension}"].read_bytes()) == lines
    for form, codec, extension in (
        ("csv", "bzip2", ".csv.bz2"), ("json", "lz4", ".json.lz4"), ("json", "snappy", ".json.snappy"),
        ("parquet", "gzip", ".gz.parquet"), ("parquet", "zstd", ".zstd.parquet"), ("parquet", "none", ".parquet"),
        ("parquet", "LZ4_RAW", ".lz4raw.parquet"), ("parquet", "lz4", ".lz4hadoop.parquet"), ("orc", "none", ".orc"),
        ("orc", "zlib", ".zlib.orc"), ("orc", "snappy", ".snappy.orc"), ("orc", "lz4", ".lz4.orc"),
        ("avro", "uncompressed", ".avro"), ("avro", "deflate", ".deflate.avro"), ("avro", "bzip2", ".bzip2.avro"),
        ("avro", "xz", ".xz.avro"), ("avro", "zstandard", ".zstandard.avro"), ("avro", "Snappy", ".snappy.avro"),
    ):  # fmt: skip
        frame.write.mode("overwrite").format(form).option("compression", codec).save(str(tmp_path / form))
        assert sorted(files(tmp_path / form)) == ["_SUCCESS", f"part-00000-*-c000{extension}"]
        if form not in {"csv", "json"}:
            assert rows(spark.read.format(form).load(str(tmp_path / form))) == rows(frame)
    spark.conf.set("spark.sql.parquet.compression.codec", "gzip")
    frame.write.parquet(str(tmp_path / "conf"))
    assert "part-00000-*-c000.gz.parquet" in files(tmp_path / "conf")


def test_encodings(spark: SparkSession, tmp_path: Path) -> None:
    frame = one(spark, "SELECT 'ü' a")
    for name, content in (("ISO-8859-1", b"\xfc\n"), ("UTF-16", b"\xfe\xff\x00\xfc\x00\n"), ("US-ASCII", b"?\n")):
        frame.write.mode("overwrite").csv(str(tmp_path / "t"), encoding=name)
        assert files(tmp_path / "t")["part-00000-*-c000.csv"].read_bytes() == content


def test_directories_and_tables(spark: SparkSession, tmp_path: Path, database: str) -> None:
    folder = tmp_path / "d"
    spark.sql(f"INSERT OVERWRITE DIRECTORY '{folder}' USING json OPTIONS (compression 'none') SELECT 1 a, 'x' b")
    assert texts(folder) == {"_SUCCESS": "", "part-00000-*-c000.json": '{"a":1,"b":"x"}\n'}
    spark.sql(f"INSERT OVERWRITE DIRECTORY USING csv OPTIONS (path '{folder}', header true, sep ';') SELECT 1 a, 'x' b")
    assert texts(folder) == {"_SUCCESS": "", "part-00000-*-c000.csv": "a;b\n1;x\n"}

    name, place = f"{database}.c", tmp_path / "c"
    columns = "i INT, s STRING, d DATE"
    spark.sql(f"CREATE TABLE {name} ({columns}) USING csv OPTIONS (header true, nullValue '-') LOCATION '{place}'")
    spark.sql(f"INSERT INTO {name} VALUES (1, 'a', DATE'2024-01-01'), (2, null, null)")
    lines = [text for name, text in texts(place).items() if name != "_SUCCESS"]
    assert "".join(sorted(lines)).replace("i,s,d\n", "") == "1,a,2024-01-01\n2,-,-\n"
    assert all(text.startswith("i,s,d\n") for text in lines)
    spark.sql(f"INSERT OVERWRITE {name} SELECT 3, 'c', null")
    assert only(place) == "i,s,d\n3,c,-\n"
    spark.range(1).coalesce(1).selectExpr("CAST(4 AS INT) i", "'d' s", "DATE'2024-01-02' d").write.insertInto(name)
    assert len([path for path in place.iterdir() if path.suffix == ".csv"]) == 2

    name, place = f"{database}.p", tmp_path / "p"
    spark.sql(f"CREATE TABLE {name} (i BIGINT, k STRING) USING parquet PARTITIONED BY (k) LOCATION '{place}'")
    spark.sql(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")
    file = "part-00000-*.c000.snappy.parquet"
    found = [name.replace("part-00001", "part-00000") for name in files(place) if name != "_SUCCESS"]
    assert sorted(found) == [f"k=a/{file}", f"k=b/{file}"]
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    spark.sql(f"INSERT OVERWRITE {name} VALUES (3, 'b')")
    assert rows(spark.table(name)) == [(1, "a"), (3, "b")]

    frame = table(spark)
    frame.write.format("json").partitionBy("s").option("compression", "gzip").saveAsTable(f"{database}.j")
    assert rows(spark.table(f"{database}.j").select("i")) == [(1,), (2,), (3,), (4,)]


def test_what_is_written_is_read(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    values = """
    SELECT 1 i, 1L l, CAST(1.5 AS FLOAT) f, 1.5D d, 'xü' s, true b, DATE'2024-01-01' dt,
      TIMESTAMP'2024-01-01 00:00:00.123456' t, TIMESTAMP_NTZ'2024-01-01 00:00:00.123456' n, 1.50BD dec, X'41' bin,
      array(1, null) a, map('k', 1) m, array(named_struct('q', 1, 'r', TIMESTAMP'2024-01-01 00:00:00')) st
    UNION ALL SELECT null, null, null, null, null, null, null, null, null, null, null, null, null, null
    """
    frame = spark.sql(values)
    for form in ("parquet", "orc", "avro"):
        frame.write.format(form).save(str(tmp_path / form))
        read = spark.read.format(form).load(str(tmp_path / form))
        assert rows(read) == rows(frame), form
        assert [field.dataType.simpleString() for field in read.schema] == [
            field.dataType.simpleString() for field in frame.schema
        ]
        shown = read.where("i = 1").selectExpr("string(t)", "string(n)", "string(st[0].r)")
        assert rows(shown) == [("2024-01-01 00:00:00.123456", "2024-01-01 00:00:00.123456", "2024-01-01 00:00:00")]


def test_nulls_among_nested_values_survive_in_every_partition(spark: SparkSession, tmp_path: Path) -> None:
    values = [
        (i, None if i % 3 else (i, None if i % 2 else (i,)), None if i % 2 else [None if i % 3 else (i,)])
        for i in range(10)
    ]
    frame = (
        spark.createDataFrame(values, "i INT, s STRUCT<a: INT, t: STRUCT<x: INT>>, l ARRAY<STRUCT<x: INT>>")
        .selectExpr("s", "l", "i", "i % 5 AS p")
        .coalesce(1)
    )
    for form in ("orc", "parquet", "json"):
        path = str(tmp_path / form)
        frame.write.format(form).partitionBy("p").save(path)
        read = spark.read.schema(frame.schema).format(form).load(path)
        assert rows(read.select("i", "s", "l")) == values, form


def test_null_structs_of_fields_that_are_never_null(spark: SparkSession, tmp_path: Path) -> None:
    one = "CASE WHEN id % 2 = 0 THEN named_struct('x', id, 't', named_struct('y', id)) END"
    frame = spark.range(3).coalesce(1).selectExpr(f"{one} AS s", f"map('k', {one}) AS m", f"array({one}) AS l")
    for form in ("parquet", "orc", "json"):
        path = str(tmp_path / form)
        frame.write.format(form).save(path)
        read = spark.read.schema(frame.schema).format(form).load(path)
        assert rows(read.selectExpr("s.x", "s.t.y", "m['k'].x", "l[0].t.y")) == [(0,) * 4, (2,) * 4, (None,) * 4], form
