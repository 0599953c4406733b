"""Which columns are used, for sure and at most."""

from __future__ import annotations

from typing import Any

import pytest

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import text_expression
from riacho.server.plan.usage import columns_used
from riacho.server.plan.walk import walk_paths

SOURCE = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier="t")))
COLUMNS = ["k", "ts", "v"]


def deduplicate(input_: pb.Relation, *keys: str) -> pb.Relation:
    return pb.Relation(deduplicate=pb.Deduplicate(input=input_, column_names=keys, all_columns_as_keys=not keys))


def used(plan: pb.Relation, *place: str, columns: list[str] = COLUMNS) -> set[str]:
    return set(columns_used(plan, lambda _: columns)[place].surely)


def unused(plan: pb.Relation, columns: list[str] = COLUMNS) -> set[str]:
    """What the only source of `plan` may leave out."""
    [place] = [path for path, node in walk_paths(plan) if node.WhichOneof("rel_type") == "read"]
    perhaps = columns_used(plan)[place].perhaps
    return {name for name in columns if name not in perhaps}


def on(kind: str, input_: pb.Relation = SOURCE, **fields: Any) -> pb.Relation:
    """A relation of one input."""
    node = pb.Relation()
    message = getattr(node, kind)
    message.CopyFrom(type(message)(input=input_, **fields))
    return node


def ask(plan: pb.Relation, *names: str) -> pb.Relation:
    return build.project(plan, map(build.col, names))


def test_all_that_a_plan_gives_is_used() -> None:
    assert used(SOURCE) == {"k", "ts", "v"}


def test_a_projection_uses_what_it_mentions() -> None:
    plan = build.project(SOURCE, [build.col("k"), build.alias(build.call("+", build.col("v"), build.integer(1)), "n")])
    assert used(plan, "project", "input", columns=["k", "n"]) == {"k", "v"}
    assert used(plan, "project", "input", columns=["k"]) == {"k"}


def test_a_star_passes_on_what_is_wanted() -> None:
    plan = build.project(SOURCE, [build.star(), build.alias(build.col("v"), "n")])
    assert used(plan, "project", "input", columns=["k", "n"]) == {"k", "v"}


def test_a_deduplication_uses_its_keys() -> None:
    plan = build.project(deduplicate(SOURCE, "ts"), [build.col("k")])
    place = ("project", "input", "deduplicate", "input")
    assert used(plan, *place, columns=["k"]) == {"k", "ts"}
    assert used(build.project(deduplicate(SOURCE), [build.col("k")]), *place) == {"k", "ts", "v"}


def test_an_aggregation_uses_its_keys_and_the_results_that_are_wanted() -> None:
    results = [
        build.alias(build.call("max", build.col("v")), "v"),
        build.alias(build.call("max", build.col("ts")), "t"),
    ]
    plan = build.group(SOURCE, [build.col("k")], results)
    assert used(plan, "aggregate", "input", columns=["v"]) == {"k", "v"}


def test_a_filter_may_vanish_so_it_uses_nothing() -> None:
    plan = build.project(build.where(SOURCE, build.call("isnotnull", build.col("v"))), [build.col("k")])
    assert used(plan, "project", "input", "filter", "input", columns=["k"]) == {"k"}


def test_a_column_of_both_sides_of_a_join_may_be_either() -> None:
    join = pb.Join(left=SOURCE, right=SOURCE, using_columns=["k"])
    assert used(pb.Relation(join=join), "join", "left") == {"k"}


def test_sql_text_is_taken_apart() -> None:
    plan = build.project(SOURCE, [build.alias(text_expression("v + 1"), "n")])
    assert used(plan, "project", "input", columns=["n"]) == {"v"}


def test_nothing_is_sure_below_a_relation_of_another_kind() -> None:
    plan = build.union(SOURCE, SOURCE)
    assert used(plan, "set_op", "left_input") == set()


def test_a_source_leaves_out_what_nothing_mentions() -> None:
    assert unused(SOURCE) == set()
    assert unused(ask(SOURCE, "k")) == {"ts", "v"}
    assert unused(ask(SOURCE, "K")) == {"ts", "v"}
    assert unused(build.project(SOURCE, [build.integer(1)])) == {"k", "ts", "v"}
    assert unused(build.project(SOURCE, [build.star()])) == set()
    assert unused(ask(build.project(SOURCE, [build.star()]), "k")) == {"ts", "v"}


def test_what_a_projection_makes_is_needed_if_it_is_asked_for() -> None:
    inner = build.project(SOURCE, [build.alias(build.col("v"), "n"), build.alias(build.col("ts"), "k")])
    assert unused(ask(inner, "k")) == {"k", "v"}
    nameless = build.project(SOURCE, [build.call("upper", build.col("v")), build.col("k")])
    assert unused(ask(nameless, "k")) == {"ts"}


@pytest.mark.parametrize(
    "maker", [build.call("explode", build.col("v")), text_expression("inline(v)")], ids=["call", "text"]
)
def test_what_makes_rows_is_needed_whoever_looks_at_them(maker: pb.Expression) -> None:
    made = build.project(SOURCE, [build.alias(maker, "e"), build.col("k"), build.col("ts")])
    assert unused(ask(made, "k")) == {"ts"}


def test_a_column_made_of_the_one_beside_it_needs_it() -> None:
    made = [build.alias(build.col("v"), "n"), build.alias(build.call("+", build.col("n"), build.integer(1)), "m")]
    assert unused(ask(build.project(SOURCE, made), "m")) == {"k", "ts"}


def test_a_name_that_a_projection_dropped_means_the_column_below() -> None:
    assert unused(build.where(ask(SOURCE, "k"), build.call("isnotnull", build.col("v")))) == {"ts"}


@pytest.mark.parametrize("name", ["v", "t.v", "s.t.v", "v.f", "`v`", "v.other-name", "t.`v`.`a.b`", "v[0]", "v['f']"])
def test_each_part_of_a_name_may_be_the_column(name: str) -> None:
    column = pb.Expression()
    column.unresolved_attribute.unparsed_identifier = name
    assert unused(build.project(SOURCE, [column])) == {"k", "ts"}


def test_columns_that_are_replaced_are_not_needed() -> None:
    replaced = on("with_columns", aliases=[build.alias(build.col("ts"), "v").alias])
    assert unused(replaced) == {"v"}
    assert unused(ask(replaced, "v")) == {"k", "v"}
    assert unused(on("drop", column_names=["v"])) == {"v"}


def test_names_that_differ_in_case_may_be_two_columns() -> None:
    replaced = on("with_columns", aliases=[build.alias(build.col("ts"), "V").alias])
    assert unused(replaced) == set()
    assert unused(ask(replaced, "v")) == {"k"}
    assert unused(on("drop", column_names=["V"])) == set()
    renamed = on("with_columns_renamed", rename_columns_map={"V": "n"})
    assert unused(ask(renamed, "N")) == {"k", "ts"}
    assert unused(on("with_columns", renamed, aliases=[build.alias(build.col("n"), "v").alias])) == set()


def test_a_star_gives_a_column_even_beside_another_of_its_name() -> None:
    assert unused(build.project(SOURCE, [build.star(), build.alias(build.col("v"), "k")])) == set()


def test_columns_are_known_by_the_names_they_had() -> None:
    names = pb.WithColumnsRenamed.Rename
    swapped = [names(col_name="k", new_col_name="v"), names(col_name="v", new_col_name="k")]
    assert unused(ask(on("with_columns_renamed", renames=swapped), "k")) == set()
    once = on("with_columns_renamed", renames=[names(col_name="k", new_col_name="id")])
    assert unused(ask(once, "id")) == {"ts", "v"}
    assert unused(on("drop", once, column_names=["k", "id"])) == {"k"}


def test_conditions_and_marks_are_needed() -> None:
    assert unused(ask(build.where(SOURCE, build.call("isnotnull", build.col("v"))), "k")) == {"ts"}
    assert unused(ask(on("with_watermark", event_time="ts"), "k")) == {"v"}
    assert unused(ask(on("drop_na", cols=["v"]), "k")) == {"ts"}
    assert unused(ask(on("drop_na"), "k")) == set()


def test_an_aggregation_needs_its_keys_and_all_its_results() -> None:
    plan = build.group(SOURCE, [build.col("k")], [build.alias(build.call("sum", build.col("v")), "s")])
    assert unused(ask(plan, "k")) == {"ts"}
    count = pb.Expression()
    count.unresolved_function.function_name = "count"
    count.unresolved_function.arguments.add().unresolved_star.SetInParent()
    assert unused(build.group(SOURCE, [], [count])) == {"k", "ts", "v"}
    count.unresolved_function.function_name = "struct"
    assert unused(build.group(SOURCE, [], [count])) == set()


def test_a_deduplication_needs_its_keys() -> None:
    assert unused(ask(deduplicate(SOURCE, "ts"), "k")) == {"v"}
    assert unused(ask(deduplicate(SOURCE), "k")) == set()


def test_a_union_is_followed_by_name_only() -> None:
    union = pb.SetOperation(
        left_input=SOURCE,
        right_input=pb.Relation(range=pb.Range()),
        set_op_type=pb.SetOperation.SET_OP_TYPE_UNION,
        is_all=True,
    )
    assert unused(ask(pb.Relation(set_op=union), "k")) == set()
    union.by_name = True
    assert unused(ask(pb.Relation(set_op=union), "k")) == {"ts", "v"}
    union.is_all = False
    assert unused(ask(pb.Relation(set_op=union), "k")) == set()


def test_a_join_of_streams_keeps_whole_rows() -> None:
    def joined(*, streaming: bool) -> pb.Relation:
        left, right = pb.Relation(), pb.Relation()
        for side, path in ((left, "l"), (right, "r")):
            side.read.named_table.unparsed_identifier = path
        left.read.is_streaming = True
        right.read.is_streaming = streaming
        join = pb.Join(left=left, right=right, using_columns=["k"], join_type=pb.Join.JOIN_TYPE_INNER)
        return ask(pb.Relation(join=join), "v")

    def left_perhaps(plan: pb.Relation) -> set[str]:
        perhaps = columns_used(plan)["project", "input", "join", "left"].perhaps
        return {name for name in COLUMNS if name in perhaps}

    assert left_perhaps(joined(streaming=False)) == {"k", "v"}
    assert left_perhaps(joined(streaming=True)) == {"k", "ts", "v"}


def test_all_is_needed_below_a_relation_of_another_kind() -> None:
    assert unused(ask(on("to_df", column_names=["a", "b", "c"]), "a")) == set()


def test_text_needs_the_columns_that_it_names() -> None:
    assert unused(build.project(SOURCE, [text_expression("CASE WHEN v THEN 1 END")])) == {"k", "ts"}
    query = pb.Relation()
    query.with_relations.root.sql.query = "SELECT v * 2 FROM t WHERE K IS NOT NULL"
    query.with_relations.references.add().subquery_alias.CopyFrom(pb.SubqueryAlias(input=SOURCE, alias="t"))
    assert unused(query) == {"ts"}


def test_a_name_may_mean_what_another_of_its_name_hides() -> None:
    def hidden(*asked: pb.Expression) -> set[str]:
        made = pb.WithColumns(input=SOURCE, aliases=[build.alias(build.col("k"), "v").alias])
        return unused(build.project(pb.Relation(with_columns=made), [build.col("ts"), *asked]))

    of_a_frame = build.col("v")
    of_a_frame.unresolved_attribute.plan_id = 1
    assert hidden(build.col("v")) == {"v"}
    assert hidden(build.col("t.v")) == hidden(of_a_frame) == hidden(text_expression("t.v + 1")) == set()


def test_a_sample_that_sorts_uses_all() -> None:
    assert unused(ask(on("sample", upper_bound=0.5), "k")) == {"ts", "v"}
    assert unused(ask(on("sample", upper_bound=0.5, deterministic_order=True), "k")) == set()
