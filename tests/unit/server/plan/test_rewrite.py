"""From a client's plan to the plan of a batch."""

from __future__ import annotations

import pytest
from pyspark.sql.connect import functions as F

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.rewrite import Template, bind, prepare
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.plan.walk import walk
from tests.plans.notation import parse
from tests.unit.counting import calls
from tests.unit.server.plan.frames import files, relation

NOON = BatchTime(1_763_726_400_123)  # 2025-11-21T12:00:00.123Z


def test_each_place_gets_the_rows_of_its_source() -> None:
    plan = parse("union\n  project a\n    stream json /a @1\n  union\n    stream json /b @2\n    stream json /a @1")
    bound = bind(plan, {0: parse("batch a"), 1: parse("batch b")})
    expected = "union\n  project a\n    batch a @1\n  union\n    batch b @2\n    batch a @1"
    assert bound == parse(expected)


def test_a_template_is_not_used_up() -> None:
    template = Template(parse("filter a\n  stream json /a"))
    assert template.bind({0: parse("batch 1")}) == parse("filter a\n  batch 1")
    assert template.bind({0: parse("batch 2")}) == parse("filter a\n  batch 2")


def test_a_source_alone_is_a_plan() -> None:
    assert bind(parse("stream json /a"), {0: parse("batch 1")}) == parse("batch 1")


def test_leaves_that_must_bring_metadata_are_marked() -> None:
    plan = files("/a").select("_metadata.file_name").union(files("/b").select("a"))
    template = prepare(relation(plan), Context())
    assert [leaf.with_metadata for leaf in template.leaves] == [True, False]


def test_what_the_rules_take_out_is_reported() -> None:
    plan = parse("observe o: count(a) AS n\n  watermark ts 1 minute\n    filter a\n      stream json /a")
    context = Context()
    prepare(plan, context)
    [mark] = context.watermarks
    assert (mark.event_time, mark.delay) == ("ts", "1 minute")
    assert mark.input == parse("filter a\n  stream json /a")
    [observation] = context.observations
    assert observation.name == "o"
    assert observation.input == parse("filter a\n  stream json /a")


def test_a_view_may_stream_inside_sql() -> None:
    plan = parse("sql SELECT count(*) AS n FROM v")
    context = Context(views={"v": parse("stream json /a")})
    template = prepare(plan, context)
    assert [node.WhichOneof("rel_type") for node in walk(template.bind({0: parse("batch 1")}))] == [
        "project",
        "aggregate",
        "subquery_alias",
        "subquery_alias",
        "read",
    ]


def test_binding_costs_little_for_each_node() -> None:
    def cost(nodes: int) -> int:
        plan = parse("stream json /a")
        for _ in range(nodes):
            plan = pb.Relation(filter=pb.Filter(input=plan))
        template, batch = Template(plan), {0: parse("batch 1")}
        return calls(lambda: template.bind(batch))

    assert (cost(100) - cost(30)) / 70 < 8


def timed(plan: pb.Relation, at: BatchTime = NOON) -> pb.Relation:
    return Template(plan).bind({0: parse("batch 1")}, at)


def test_calls_become_literals_and_columns_keep_their_names() -> None:
    [clock, day, plain, seconds] = timed(
        relation(files().select(F.current_timestamp(), F.current_date(), F.localtimestamp(), F.unix_timestamp()))
    ).project.expressions
    assert (list(clock.alias.name), clock.alias.expr.literal.timestamp) == (
        ["current_timestamp()"],
        NOON.time_ms * 1000,
    )
    assert (list(day.alias.name), day.alias.expr.literal.date) == (["current_date()"], 20_413)
    assert (list(plain.alias.name), plain.alias.expr.literal.timestamp_ntz) == (
        ["localtimestamp()"],
        NOON.time_ms * 1000,
    )
    assert (list(seconds.alias.name), seconds.alias.expr.literal.long) == (["unix_timestamp()"], NOON.time_ms // 1000)


def test_the_day_is_that_of_the_sessions_zone() -> None:
    just_past_midnight = BatchTime(1_763_683_200_000, "America/Sao_Paulo")  # 2025-11-21T00:00:00Z
    bound = timed(relation(files().select(F.current_date().alias("d"))), just_past_midnight)
    assert bound.project.expressions[0].alias.expr.literal.date == 20_412


def test_calls_inside_conditions() -> None:
    bound = timed(relation(files().where(F.col("t") < F.now())))
    assert bound.filter.condition.unresolved_function.arguments[1].literal.timestamp == NOON.time_ms * 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("current_timestamp", "TIMESTAMP '2025-11-21 12:00:00.123000Z' AS `current_timestamp()`"),
        ("date_add(current_date(), 1) AS d", "date_add(DATE '2025-11-21', 1) AS d"),
        ("localtimestamp() n", "TIMESTAMP_NTZ '2025-11-21 12:00:00.123000' n"),
        ("unix_timestamp(t)", "unix_timestamp(t)"),
        ("t.now", "t.now"),
        ("now() AS now", "TIMESTAMP '2025-11-21 12:00:00.123000Z' AS now"),
        ("'now()'", "'now()'"),
    ],
)
def test_calls_in_text(text: str, expected: str) -> None:
    bound = timed(relation(files().select(F.expr(text))))
    assert bound.project.expressions[0].expression_string.expression == expected


def test_without_a_time_the_engine_tells_it() -> None:
    bound = Template(relation(files().where(F.col("t") < F.now()))).bind({0: parse("batch 1")})
    assert bound.filter.condition.unresolved_function.arguments[1].unresolved_function.function_name == "now"
