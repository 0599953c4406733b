"""Which rows a query has more, of the rows that its inputs have more; and of what that is not known."""

from __future__ import annotations

import pytest

from riacho.protos import pb
from riacho.server.graph.names import Identifier
from riacho.server.graph.views.added import InputNumbers, InputState, added_rows
from riacho.server.graph.views.groups import kept_groupings
from riacho.server.graph.views.plan import NotFromChangesError, ViewQuery, input_of, plan_of
from riacho.server.plan.walk import walk

SAME, ADDED, OTHER = InputState.SAME, InputState.ADDED, InputState.OTHER


def query(sql: str, *own_functions: str) -> ViewQuery:
    """The query over the tables `c.d.a` and `c.d.b`."""
    text = sql.replace("{a}", "c.d.a").replace("{b}", "c.d.b")
    return plan_of(pb.Relation(sql=pb.SQL(query=text)), own_functions, columns)


def columns(name: Identifier) -> list[str]:
    if name.name not in ("a", "b"):
        raise NotFromChangesError(f"it reads {name}")
    return ["k", "v", "user"]


def read(relation: pb.Relation) -> list[int]:
    return [number for node in walk(relation) if (number := input_of(node)) is not None]


def added(sql: str, *states: InputState) -> list[list[int]]:
    """The inputs of each plan of added rows; of two inputs 2 and 3 are their new rows, 4 and 5 the old ones."""
    plan = query(sql)
    plans = added_rows(plan.operators, dict(enumerate(states)), InputNumbers(2))
    return [read(each) for each in plans]


@pytest.mark.parametrize(
    ("sql", "states", "plans"),
    [
        ("SELECT k + 1 AS k FROM {a} WHERE v > 1", [ADDED], [[2]]),
        ("SELECT k FROM {a} WHERE v > 1", [SAME], []),
        ("WITH x AS (SELECT k FROM {a}) SELECT upper(k) AS k FROM x WHERE k > 2", [ADDED], [[2]]),
        ("SELECT k FROM {a} UNION ALL SELECT k FROM {b}", [ADDED, SAME], [[2, 1]]),
        ("SELECT k FROM {a} UNION ALL SELECT k FROM {b}", [ADDED, ADDED], [[2, 1], [0, 3]]),
        ("SELECT a.k FROM {a} a JOIN {b} b ON a.k = b.k", [ADDED, SAME], [[2, 1]]),
        ("SELECT a.k FROM {a} a JOIN {b} b ON a.k = b.k", [SAME, ADDED], [[0, 3]]),
        ("SELECT a.k FROM {a} a JOIN {b} b ON a.k = b.k", [ADDED, ADDED], [[2, 1], [4, 3]]),
        ("SELECT a.k FROM {a} a LEFT JOIN {b} b ON a.k = b.k", [ADDED, SAME], [[2, 1]]),
        ("SELECT b.k FROM {a} a RIGHT JOIN {b} b ON a.k = b.k", [SAME, ADDED], [[0, 3]]),
        ("SELECT a.k FROM {a} a LEFT SEMI JOIN {b} b ON a.k = b.k", [ADDED, SAME], [[2, 1]]),
        (
            "SELECT a.k FROM {a} a JOIN (SELECT k, count(*) AS n FROM {b} GROUP BY k) b ON a.k = b.k",
            [ADDED, SAME],
            [[2, 1]],
        ),
    ],
)
def test_added_rows(sql: str, states: list[InputState], plans: list[list[int]]) -> None:
    assert added(sql, *states) == plans


@pytest.mark.parametrize(
    ("sql", "states"),
    [
        ("SELECT k FROM {a}", [OTHER]),
        ("SELECT DISTINCT k FROM {a}", [ADDED]),
        ("SELECT k, count(*) AS n FROM {a} GROUP BY k", [ADDED]),
        ("SELECT k FROM {a} UNION SELECT k FROM {b}", [ADDED, SAME]),
        ("SELECT k FROM {a} EXCEPT ALL SELECT k FROM {b}", [ADDED, SAME]),
        ("SELECT k, row_number() OVER (ORDER BY v) AS n FROM {a}", [ADDED]),
        ("SELECT a.k FROM {a} a LEFT JOIN {b} b ON a.k = b.k", [SAME, ADDED]),
        ("SELECT a.k FROM {a} a FULL JOIN {b} b ON a.k = b.k", [ADDED, SAME]),
        ("SELECT a.k FROM {a} a LEFT ANTI JOIN {b} b ON a.k = b.k", [SAME, ADDED]),
        ("SELECT k FROM {a} WHERE v > (SELECT max(v) FROM {b})", [SAME, ADDED]),
        ("SELECT k FROM {a} WHERE k IN (SELECT k FROM {b})", [SAME, ADDED]),
        ("SELECT k FROM {a} ORDER BY k LIMIT 3", [ADDED]),
    ],
)
def test_rows_that_were_there_may_change(sql: str, states: list[InputState]) -> None:
    with pytest.raises(NotFromChangesError):
        added(sql, *states)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT current_timestamp() AS t FROM {a}", "current_timestamp may give another value"),
        ("SELECT current_date AS t FROM {a}", "current_date may give another value"),
        ("SELECT k FROM {a} WHERE rand() < 0.5", "rand may give another value"),
        ("SELECT uuid() AS u FROM {a}", "uuid may give another value"),
        ("SELECT twice(k) AS k FROM {a}", "a function of a user, twice"),
        ("SELECT k, input_file_name() AS f FROM {a}", "the files that rows come from"),
        ("SELECT k FROM {a} VERSION AS OF 3", "as it was"),
        ("SELECT k FROM parquet.`/x`", "no table of the catalog"),
        ("SELECT k FROM c.d.other", "it reads c.d.other"),
    ],
)
def test_queries_that_may_give_other_rows_each_time(sql: str, why: str) -> None:
    with pytest.raises(NotFromChangesError, match=why):
        query(sql, "twice")


def test_a_column_may_be_called_as_a_function_is() -> None:
    assert query("SELECT user, count(*) AS n FROM {a} GROUP BY user").inputs == (Identifier(("c", "d", "a")),)


@pytest.mark.parametrize(
    ("sql", "groupings"),
    [
        ("SELECT k, count(*) AS n, sum(v) AS v FROM {a} GROUP BY k", 1),
        ("SELECT max(v) AS v FROM {a}", 1),
        ("SELECT k, avg(v) / 2 AS half FROM {a} WHERE v > 0 GROUP BY k HAVING count(*) > 1", 1),
        ("SELECT k, count(*) AS n FROM {a} GROUP BY k UNION ALL SELECT 0, count(*) FROM {b}", 2),
        ("SELECT b.v, sum(a.v) AS v FROM {a} a LEFT JOIN {b} b ON a.k = b.k GROUP BY b.v", 1),
        ("SELECT max(n) AS n FROM (SELECT k, count(*) AS n FROM {a} GROUP BY k)", 1),
        ("SELECT k, collect_list(v) AS v FROM {a} GROUP BY k", 0),
        ("SELECT k, count(DISTINCT v) AS v FROM {a} GROUP BY k", 0),
        ("SELECT k, median(v) AS v FROM {a} GROUP BY k", 0),
        ("SELECT k, first(v) AS v FROM {a} GROUP BY k", 0),
        ("SELECT k, sum(v) AS v FROM {a} GROUP BY ROLLUP (k)", 0),
        ("SELECT k FROM {a}", 0),
    ],
)
def test_groupings_that_can_be_kept(sql: str, groupings: int) -> None:
    assert len(kept_groupings(query(sql).operators)) == groupings


def test_a_definition_does_not_depend_on_where_its_nodes_were_numbered() -> None:
    def frame(first: int) -> pb.Relation:
        node = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier="c.d.a")))
        node.common.plan_id = first
        column = pb.Expression.UnresolvedAttribute(unparsed_identifier="k", plan_id=first)
        made = pb.Relation(project=pb.Project(input=node, expressions=[pb.Expression(unresolved_attribute=column)]))
        made.common.plan_id = first + 1
        return made

    first, second = (plan_of(frame(number), (), columns) for number in (3, 70))
    assert first.definition == second.definition
    assert first.definition != query("SELECT v FROM {a}").definition
