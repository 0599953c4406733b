"""Which names a plan reads."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.names_read import names_read


def test_names_in_reads_texts_and_expressions() -> None:
    relation = pb.Relation()
    relation.filter.input.join.left.read.named_table.unparsed_identifier = "`My`.V"
    relation.filter.input.join.right.sql.query = "WITH own AS (SELECT 1) SELECT * FROM own JOIN global_temp.G"
    relation.filter.condition.expression_string.expression = "id IN (SELECT id FROM w)"
    assert names_read(relation) == {"my.v", "global_temp.g", "w"}


def test_paths_and_columns_are_no_names() -> None:
    relation = pb.Relation()
    relation.project.input.read.data_source.paths.append("/dev/v/1.arrow")
    relation.project.expressions.add().unresolved_attribute.unparsed_identifier = "v"
    relation.project.expressions.add().expression_string.expression = "v + 1"
    assert names_read(relation) == frozenset()
