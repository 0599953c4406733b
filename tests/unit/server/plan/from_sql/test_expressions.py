"""Expression text, read as far as it is known."""

from __future__ import annotations

import pytest

from riacho.protos import pb
from riacho.server.plan.from_sql.expressions import conjuncts, read_expression


def shape(expression: pb.Expression) -> str:
    """An expression as nested calls; text that the engine is to read stands in «»."""
    match expression.WhichOneof("expr_type"):
        case "expression_string":
            return f"«{expression.expression_string.expression}»"
        case "unresolved_attribute":
            return expression.unresolved_attribute.unparsed_identifier
        case "unresolved_star":
            return "*"
        case "alias":
            return f"{shape(expression.alias.expr)} AS {expression.alias.name[0]}"
        case "literal":
            literal = expression.literal
            return repr(getattr(literal, literal.WhichOneof("literal_type") or "null"))
        case "cast":
            return f"({shape(expression.cast.expr)} AS {expression.cast.type_str})"
        case _:
            function = expression.unresolved_function
            distinct = "DISTINCT " if function.is_distinct else ""
            return f"{function.function_name}({distinct}{', '.join(map(shape, function.arguments))})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("a.`b c`", "a.`b c`"),
        ("count(*)", "count(1)"),
        ("struct(*)", "struct(*)"),
        ("to_json(struct(a, *)) AS row", "to_json(struct(a, *)) AS row"),
        ("count(DISTINCT a) AS n", "count(DISTINCT a) AS n"),
        ("sum(a + 1) total", "sum(+(a, 1)) AS total"),
        ("window(ts, '1 minute')", "window(ts, '1 minute')"),
        ("a = b AND c < 2 OR NOT d", "or(and(==(a, b), <(c, 2)), not(d))"),
        ("a + b * -c", "+(a, *(b, negative(c)))"),
        ("a BETWEEN b AND b + INTERVAL '1' HOUR", "and(>=(a, b), <=(a, +(b, «INTERVAL '1' HOUR»)))"),
        ("a IS NOT NULL AND b IS NULL", "and(isnotnull(a), isnull(b))"),
        ("(a = 1)", "==(a, 1)"),
        ("current_date", "current_date()"),
        ("f(x -> x + 1, try_cast(y as int))", "f(«x -> x + 1», «try_cast(y as int)»)"),
        ("cast(y + 1 AS decimal(8, 2)) > 1", ">((+(y, 1) AS decimal(8, 2)), 1)"),
        ("cast(a IN (1) AS int)", "(in(a, 1) AS int)"),
        ("a NOT IN (1, b + 1) AND c LIKE 'x%'", "and(not(in(a, 1, +(b, 1))), like(c, 'x%'))"),
        ("cast(a RLIKE 'x' AS int)", "«cast(a RLIKE 'x' AS int)»"),
        ("CASE WHEN a THEN 1 END + 1", "+(«CASE WHEN a THEN 1 END», 1)"),
        ("DATE '2020-01-01'", "«DATE '2020-01-01'»"),
        ("TRUE", "True"),
    ],
)
def test_known(text: str, expected: str) -> None:
    assert shape(read_expression(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a IN (SELECT b FROM t)",
        "a LIKE ANY ('x%', 'y%')",
        "a LIKE 'x%' ESCAPE '!'",
        "a::int",
        "a[0]",
        "x'1F'",
        "row_number() OVER (ORDER BY a)",
        "count(*) FILTER (WHERE a)",
        "count(*, a)",
        "count(DISTINCT *)",
        "(a, b)",
        "a IN (SELECT b FROM c)",
        "a AND",
        "",
    ],
)
def test_what_is_not_known_stays_text(text: str) -> None:
    assert shape(read_expression(text)) == f"«{text}»"


def test_conjuncts_of_text_and_of_messages() -> None:
    text = pb.Expression(expression_string=pb.Expression.ExpressionString(expression="a = 1 AND (b = 2 AND c OR d)"))
    both = pb.Expression.UnresolvedFunction(function_name="and", arguments=[text, read_expression("e")])
    parts = conjuncts(pb.Expression(unresolved_function=both))
    assert [shape(part) for part in parts] == ["==(a, 1)", "or(and(==(b, 2), c), d)", "e"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(a) FILTER (WHERE b > 1) + 1", "+(sum(if(>(b, 1), a, «NULL»)), 1)"),
        ("count(*) FILTER (WHERE a AND b)", "count(if(and(a, b), 1, «NULL»))"),
        ("first(a) FILTER (WHERE b)", "«first(a) FILTER (WHERE b)»"),  # a null would be the first
        ("sum(a) FILTER (WHERE b RLIKE 'x')", "«sum(a) FILTER (WHERE b RLIKE 'x')»"),
    ],
)
def test_filters_of_functions_that_skip_nulls(text: str, expected: str) -> None:
    assert shape(read_expression(text, filters=True)) == expected
