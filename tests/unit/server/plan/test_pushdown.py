"""Filters go where Spark's optimizer puts them."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.pushdown import push_filters
from riacho.server.plan.walk import walk


def stream(*columns: str) -> pb.Relation:
    read = pb.Relation(read=pb.Read(is_streaming=True))
    read.read.data_source.schema = ",".join(columns)
    return read


def columns(relation: pb.Relation) -> list[str]:
    return [
        name for node in walk(relation) if node.HasField("read") for name in node.read.data_source.schema.split(",")
    ]


def marked(relation: pb.Relation, column: str = "ts") -> pb.Relation:
    return pb.Relation(with_watermark=pb.WithWatermark(input=relation, event_time=column, delay_threshold="1 minute"))


def positive(column: str) -> pb.Expression:
    return build.call(">", build.col(column), build.integer(0))


def shape(relation: pb.Relation) -> list[str]:
    return [str(node.WhichOneof("rel_type")) for node in walk(push_filters(relation, columns))]


def test_below_a_watermark() -> None:
    plan = build.where(marked(stream("ts", "v")), positive("v"))
    assert shape(plan) == ["filter", "with_watermark", "filter", "read"]


def test_not_if_it_looks_at_the_event_time() -> None:
    plan = build.where(marked(stream("ts", "v")), positive("ts"))
    assert shape(plan) == ["filter", "with_watermark", "read"]


def test_through_columns_that_are_passed_on_or_renamed_but_not_computed() -> None:
    renamed = build.project(marked(stream("ts", "v")), [build.alias(build.col("v"), "w"), build.col("ts")])
    assert shape(build.where(renamed, positive("w"))) == ["filter", "project", "with_watermark", "filter", "read"]
    computed = build.project(marked(stream("ts", "v")), [build.alias(positive("v"), "w")])
    assert shape(build.where(computed, positive("w"))) == ["filter", "project", "with_watermark", "read"]


def test_a_field_is_not_a_column_of_its_name() -> None:
    field = pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier="user.name"))
    is_there = build.call("isnotnull", field)
    renamed = build.project(marked(stream("ts", "user", "name")), [build.alias(field, "u")])
    assert shape(build.where(renamed, positive("u"))) == ["filter", "project", "with_watermark", "read"]
    pushed = push_filters(build.where(marked(stream("ts", "user", "name")), is_there), columns)
    below = pushed.filter.input.with_watermark.input.filter.condition.unresolved_function.arguments[0]
    assert below == build.field_of(build.col("user"), "name")
    aliased = pb.Relation(subquery_alias=pb.SubqueryAlias(input=stream("ts", "name"), alias="user"))
    pushed = push_filters(build.where(marked(aliased), is_there), columns)
    assert pushed.filter.input.with_watermark.input.filter.condition == build.call("isnotnull", build.col("name"))


def test_below_an_aggregation_if_it_looks_at_keys_alone() -> None:
    counts = build.group(stream("k", "v"), [build.col("k")], [build.alias(build.call("sum", build.col("v")), "s")])
    assert shape(build.where(counts, positive("k"))) == ["filter", "aggregate", "filter", "read"]
    assert shape(build.where(counts, positive("s"))) == ["filter", "aggregate", "read"]


def test_a_filter_that_is_not_deterministic_stays() -> None:
    plan = build.where(marked(stream("ts", "v")), build.call(">", build.call("rand"), build.col("v")))
    assert shape(plan) == ["filter", "with_watermark", "read"]


def test_an_inner_join_wants_keys_that_are_not_null() -> None:
    condition = build.call("==", build.col("a"), build.col("b"))
    join = pb.Join(left=stream("a"), right=stream("b"), join_condition=condition, join_type=pb.Join.JOIN_TYPE_INNER)
    assert shape(pb.Relation(join=join)) == ["join", "filter", "read", "filter", "read"]
    join.join_type = pb.Join.JOIN_TYPE_LEFT_OUTER
    assert shape(pb.Relation(join=join)) == ["join", "read", "filter", "read"]
    join.join_type = pb.Join.JOIN_TYPE_FULL_OUTER
    assert shape(pb.Relation(join=join)) == ["join", "read", "read"]


def joined(join_type: pb.Join.JoinType.ValueType) -> pb.Relation:
    """Two streams `l` and `r`, both with the columns `k` and `ts`."""
    sides = [pb.Relation(subquery_alias=pb.SubqueryAlias(input=stream("k", "ts"), alias=name)) for name in "lr"]
    keys = build.call("==", of("l", "k"), of("r", "k"))
    return pb.Relation(join=pb.Join(left=sides[0], right=sides[1], join_condition=keys, join_type=join_type))


def of(side: str, name: str) -> pb.Expression:
    return pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=f"{side}.{name}"))


def times(relation: pb.Relation) -> list[str]:
    """The sides of the join that are filtered by their time."""
    [node] = [node for node in walk(push_filters(relation, columns)) if node.HasField("join")]
    return [
        side
        for side, input_ in (("left", node.join.left), ("right", node.join.right))
        if any("`ts`" in str(found.filter.condition) for found in walk(input_))
    ]


def type_of(relation: pb.Relation) -> str:
    [node] = [node for node in walk(push_filters(relation, columns)) if node.HasField("join")]
    return pb.Join.JoinType.Name(node.join.join_type).removeprefix("JOIN_TYPE_")


def test_a_column_of_both_sides_is_told_apart_by_its_qualifier() -> None:
    join = joined(pb.Join.JOIN_TYPE_LEFT_OUTER)
    assert times(build.group(join, [build.call("window", of("l", "ts"))], [])) == ["left"]
    renamed = build.project(join, [build.alias(of("l", "ts"), "at")])
    assert times(build.group(renamed, [build.call("window", build.col("at"))], [])) == ["left"]


def test_an_outer_join_loses_the_rows_that_a_filter_takes_out() -> None:
    outer = {
        "l": {"LEFT": "LEFT_OUTER", "RIGHT": "INNER", "FULL": "LEFT_OUTER"},
        "r": {"LEFT": "INNER", "RIGHT": "RIGHT_OUTER", "FULL": "RIGHT_OUTER"},
    }
    for side, becomes in outer.items():
        for before, after in becomes.items():
            join = joined(pb.Join.JoinType.Value(f"JOIN_TYPE_{before}_OUTER"))
            assert type_of(build.group(join, [build.call("window", of(side, "ts"))], [])) == after
            assert type_of(build.where(join, build.call("isnull", of(side, "ts")))) == f"{before}_OUTER"


def test_both_sides_of_a_full_join() -> None:
    join = joined(pb.Join.JOIN_TYPE_FULL_OUTER)
    wanted = build.call("and", build.call("isnotnull", of("l", "ts")), build.call("isnotnull", of("r", "ts")))
    assert type_of(build.where(join, wanted)) == "INNER"


def right_filters(how: pb.Join.JoinType.ValueType, left: pb.Relation) -> list[pb.Expression]:
    """What the right side of a join by `k` is filtered by."""
    join = pb.Join(left=left, right=stream("k", "w"), join_type=how, using_columns=["k"])
    side = push_filters(pb.Relation(join=join), columns).join.right
    found = []
    while side.HasField("filter"):
        found.append(side.filter.condition)
        side = side.filter.input
    return found


def test_what_a_filter_says_of_a_key_is_said_of_the_other_side() -> None:
    filtered = marked(build.where(build.where(stream("ts", "k", "v"), positive("k")), positive("v")))
    assert positive("k") in right_filters(pb.Join.JOIN_TYPE_LEFT_SEMI, filtered)
    assert positive("k") in right_filters(pb.Join.JOIN_TYPE_LEFT_OUTER, filtered)
    assert right_filters(pb.Join.JOIN_TYPE_FULL_OUTER, filtered) == []
    renamed = build.project(filtered, [build.alias(build.col("v"), "k")])
    assert positive("k") in right_filters(pb.Join.JOIN_TYPE_INNER, renamed)  # v > 0
    computed = build.project(filtered, [build.alias(build.call("abs", build.col("k")), "k")])
    assert positive("k") not in right_filters(pb.Join.JOIN_TYPE_INNER, computed)
