"""Plans whose tables were replaced mean to the engine what they meant before."""

from __future__ import annotations

import pyarrow as pa

from riacho.protos import pb
from riacho.server.engine.spool import empty
from riacho.server.graph import reads
from riacho.server.graph.reads import Read
from tests.engine.server.graph.support import Pipelines

COLUMNS = pa.schema([("id", pa.int64()), ("s", pa.struct([("x", pa.int32())]))])


def sql(text: str) -> pb.Relation:
    return pb.Relation(sql=pb.SQL(query=text))


def test_columns_of_replaced_tables_keep_their_meaning(pipelines: Pipelines) -> None:
    text = """SELECT m.id a, default.m.id b, spark_catalog.default.m.s.x c, n.*, other.s.x d
        FROM spark_catalog.default.m JOIN n JOIN db.o AS other"""

    def choose(read: Read) -> pb.Relation:
        return reads.aliased(empty(COLUMNS), read.name)

    schema = pipelines.session.schema(reads.substitute(sql(text), choose))
    assert schema.names == ["a", "b", "c", "id", "s", "d"]


def test_nested_replacements(pipelines: Pipelines) -> None:
    def inner(_: Read) -> pb.Relation:
        return empty(COLUMNS)

    view = reads.substitute(sql("SELECT id + 1 AS y FROM t"), inner)
    outer = reads.substitute(sql("SELECT v.y, w.y AS z FROM v JOIN v AS w"), lambda _: view)
    assert pipelines.session.schema(outer).names == ["y", "z"]
