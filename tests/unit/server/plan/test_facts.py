"""What is read off plans."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F

from riacho.protos import pb
from riacho.server.plan.facts import TableRead, cached_ids, is_streaming, kind, leaves, names, uses_metadata
from tests.plans.notation import parse
from tests.unit.server.plan.frames import files, rate, relation, static


def sources(plan: pb.Relation) -> list[tuple[str, int]]:
    """The sources of a plan: path and number of places."""
    return [(leaf.relation.read.data_source.paths[0], leaf.places) for leaf in leaves(plan)]


def test_streaming() -> None:
    assert is_streaming(parse("filter a\n  stream json /in"))
    assert not is_streaming(parse("filter a\n  table t"))
    start = pb.WriteStreamOperationStart(input=parse("stream json /in"))
    assert is_streaming(pb.Command(write_stream_operation_start=start))


def test_sources_stand_in_plan_order() -> None:
    plan = parse("union\n  stream json /a\n  join inner\n    stream json /b\n    stream json /c")
    assert sources(plan) == [("/a", 1), ("/b", 1), ("/c", 1)]
    assert [leaf.index for leaf in leaves(plan)] == [0, 1, 2]


# As Apache Spark 4.2.1 counts them.


def test_a_stream_united_with_itself_is_one_source() -> None:
    stream = files()
    assert sources(relation(stream.union(stream))) == [("/landing", 2)]


def test_two_loads_of_the_same_path_are_two_sources() -> None:
    assert sources(relation(files().union(files()))) == [("/landing", 1), ("/landing", 1)]


def test_a_stream_joined_with_itself_is_two_sources() -> None:
    stream = files()
    joined = stream.alias("x").join(stream.alias("y"), F.expr("x.a = y.a"))
    assert sources(relation(joined)) == [("/landing", 1), ("/landing", 1)]
    assert sources(relation(joined.union(joined))) == [("/landing", 2), ("/landing", 2)]
    assert sources(relation(joined.join(stream, "a"))) == [("/landing", 1)] * 3


def test_names() -> None:
    plan = parse("join inner\n  table db.t\n  join inner\n    stream table s\n    table db.t")
    assert names(plan) == [TableRead("db.t", streaming=False), TableRead("s", streaming=True)]


def test_cached_ids() -> None:
    cached = pb.Relation(cached_remote_relation=pb.CachedRemoteRelation(relation_id="x"))
    assert cached_ids(pb.Relation(filter=pb.Filter(input=cached))) == ["x"]
    assert cached_ids(pb.Command(write_operation=pb.WriteOperation(input=cached))) == ["x"]


KINDS: dict[str, tuple[Callable[[], DataFrame], str]] = {
    "filter": (lambda: rate().where("value > 1"), "stateless"),
    "aggregate of a table": (lambda: static().groupBy("value").count(), "stateless"),
    "join with a table": (lambda: rate().join(static(), "value"), "stateless"),
    "aggregate": (lambda: rate().groupBy("value").count(), "aggregate"),
    "dropDuplicates": (lambda: rate().dropDuplicates(["value"]), "deduplicate"),
    "join": (lambda: rate().join(rate(), "value"), "join"),
    "limit": (lambda: rate().limit(3), "limit"),
    "aggregate of a join": (lambda: rate().join(rate(), "value").groupBy("value").count(), "chain"),
}


@pytest.mark.parametrize("name", KINDS)
def test_kind(name: str) -> None:
    make, expected = KINDS[name]
    assert kind(relation(make())) == expected


def test_uses_metadata() -> None:
    assert uses_metadata(relation(files().select("_metadata.file_path")))
    assert uses_metadata(relation(files().select(F.input_file_name())))
    assert uses_metadata(relation(files().selectExpr("INPUT_FILE_NAME()")))
    assert not uses_metadata(relation(files().select("a")))
