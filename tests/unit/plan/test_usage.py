"""Which columns are known to be used."""

from __future__ import annotations

from riacho.plan import build
from riacho.plan.sql_expressions import text_expression
from riacho.plan.usage import columns_used
from riacho.protos import pb

SOURCE = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier="t")))
COLUMNS = ["k", "ts", "v"]


def deduplicate(input_: pb.Relation, *keys: str) -> pb.Relation:
    return pb.Relation(deduplicate=pb.Deduplicate(input=input_, column_names=keys, all_columns_as_keys=not keys))


def used(plan: pb.Relation, *place: str, columns: list[str] = COLUMNS) -> set[str]:
    return set(columns_used(plan, lambda _: columns)[place])


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


def test_nothing_is_known_below_a_relation_of_another_kind() -> None:
    plan = build.union(SOURCE, SOURCE)
    assert set(columns_used(plan, lambda _: COLUMNS)) == {()}
