from __future__ import annotations

import pyarrow as pa

from riacho.protos import pb
from riacho.server.engine.spool import empty
from riacho.server.graph import names, reads
from riacho.server.graph.names import Identifier
from riacho.server.graph.reads import Read

COLUMNS = pa.schema([("id", pa.int64()), ("s", pa.struct([("x", pa.int32())]))])


def sql(text: str) -> pb.Relation:
    return pb.Relation(sql=pb.SQL(query=text))


def named(name: str, *, streaming: bool = False, plan_id: int = 7) -> pb.Relation:
    table = pb.Read.NamedTable(unparsed_identifier=name, options={"o": "1"})
    return pb.Relation(
        common=pb.RelationCommon(plan_id=plan_id), read=pb.Read(named_table=table, is_streaming=streaming)
    )


def described(relation: pb.Relation) -> list[tuple[str, bool]]:
    return [(str(read.name), read.streaming) for read in reads.reads(relation)]


def test_reads_of_a_data_frame() -> None:
    join = pb.Relation(join=pb.Join(left=named("`my db`.t"), right=named("u", streaming=True)))
    assert described(join) == [("my db.t", False), ("u", True)]
    assert reads.reads(join)[0].options == {"o": "1"}


def test_reads_of_sql_text() -> None:
    text = """WITH c AS (SELECT * FROM STREAM bronze.a), d AS (SELECT * FROM c)
        SELECT * FROM c JOIN STREAM(b) AS x ON c.i = x.i, d
        WHERE EXISTS (SELECT 1 FROM `silver`.e) AND extract(year FROM ts) > 1 -- FROM nothing"""
    assert sorted(described(sql(text))) == [("b", True), ("bronze.a", True), ("silver.e", False)]


def test_data_frames_passed_to_sql_and_files_are_no_tables() -> None:
    relation = pb.Relation(
        with_relations=pb.WithRelations(
            root=sql("SELECT * FROM df JOIN parquet.`/data/x` JOIN t"),
            references=[pb.Relation(subquery_alias=pb.SubqueryAlias(input=named("u"), alias="DF"))],
        )
    )
    assert sorted(described(relation)) == [("t", False), ("u", False)]


def test_a_replaced_read_keeps_the_id_by_which_columns_name_it() -> None:
    replaced = reads.substitute(named("t", plan_id=42), lambda _: empty(COLUMNS))
    assert replaced.common.plan_id == 42
    assert replaced.HasField("local_relation")


def test_streaming_reads_of_one_table_stay_two_sources() -> None:
    join = pb.Relation(join=pb.Join(left=named("t", streaming=True), right=named("t", streaming=True)))

    def choose(read: Read) -> pb.Relation:
        return reads.aliased(reads.table_read(read.name, streaming=True, options={}), read.name)

    replaced = reads.substitute(join, choose)
    left, right = (side.subquery_alias.input.common.plan_id for side in (replaced.join.left, replaced.join.right))
    assert left != right


def test_a_full_name_takes_the_place_of_a_name() -> None:
    full = Identifier(("spark_catalog", "db", "t"))
    assert reads.substitute(named("t"), lambda _: full).read.named_table.unparsed_identifier == full.quoted
    text = reads.substitute(sql("SELECT t.id FROM t JOIN db.u AS v"), lambda _: full)
    assert text.with_relations.root.sql.query == (
        "SELECT t.id FROM `spark_catalog`.`db`.`t` JOIN `spark_catalog`.`db`.`t` AS v"
    )


def test_qualify_text() -> None:
    def full(name: Identifier) -> Identifier:
        return Identifier(("c", "d", name.name))

    text = "WITH q AS (SELECT 1) SELECT t.x FROM q, t JOIN e.u"
    assert reads.qualify_text(text, full) == "WITH q AS (SELECT 1) SELECT t.x FROM q, `c`.`d`.`t` JOIN `c`.`d`.`u`"


def test_identifiers() -> None:
    name = names.parse("a.`b c`.`d``e`")
    assert name.parts == ("a", "b c", "d`e")
    assert name.quoted == "`a`.`b c`.`d``e`"
    assert str(name) == "a.b c.d`e"
