"""Plans and expressions as text, for people: error messages, `explain`, and names of columns."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from riacho.protos import pb
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.walk import children, top_expressions
from riacho.server.sql.tokens import Token, tokenize
from riacho.server.sql.words import words

_INFIX = words("+ - * / % div = == <=> < <= > >= and or & | ^")
_UNEQUAL = words("!= <>")
_CAPITALS = words(
    "acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh cot csc degrees exp expm1 floor hypot log10 log1p log2 "
    "power radians rlike sec signum sin sinh sqrt tan tanh"
)
"""Functions whose names Spark writes in capitals."""

_NODE_NAMES = {
    "set_op": "SetOperation",
    "to_df": "Project",
    "with_columns": "Project",
    "with_columns_renamed": "Project",
    "drop": "Project",
    "with_watermark": "EventTimeWatermark",
    "sql": "SQL",
}
_DEFAULTS = {
    "approx_percentile": (2, "10000"),
    "bround": (1, "0"),
    "from_avro": (2, "NULL"),
    "from_unixtime": (1, "yyyy-MM-dd HH:mm:ss"),
    "lpad": (2, " "),
    "months_between": (2, "true"),
    "percentile_approx": (2, "10000"),
    "regexp_instr": (2, "0"),
    "regexp_replace": (3, "1"),
    "round": (1, "0"),
    "rpad": (2, " "),
    "schema_of_avro": (1, "NULL"),
    "split": (2, "-1"),
    "substr": (2, "2147483647"),
    "substring": (2, "2147483647"),
    "to_avro": (1, "NULL"),
}
"""Functions whose name shows an argument that was not given: how many were, and the one that is shown."""

_TYPED = words("DATE TIMESTAMP TIMESTAMP_NTZ")
_WINDOWS = frozenset({"window", "session_window"})
_LONGEST = 200


def column_name(expression: pb.Expression) -> str:
    """The text of an expression, close to the name that Spark gives to a column without an alias."""
    kind = expression.WhichOneof("expr_type")
    match kind:
        case "unresolved_attribute":
            return expression.unresolved_attribute.unparsed_identifier
        case "literal":
            return _literal(expression.literal)
        case "unresolved_function":
            function = expression.unresolved_function
            return call_name(function.function_name, [column_name(a) for a in function.arguments], function.is_distinct)
        case "call_function":
            call = expression.call_function
            return call_name(call.function_name, [column_name(a) for a in call.arguments], distinct=False)
        case "alias":
            return f"{column_name(expression.alias.expr)} AS {', '.join(expression.alias.name)}"
        case "cast":
            cast = expression.cast
            target = cast.type_str if cast.HasField("type_str") else cast.type.WhichOneof("kind") or ""
            return f"CAST({column_name(cast.expr)} AS {target.upper()})"
        case "expression_string":
            return _written(expression.expression_string.expression)
        case "unresolved_star":
            return "*"
        case "unresolved_extract_value":
            extract = expression.unresolved_extract_value
            key = extract.extraction.literal
            called = extract.child.unresolved_function.function_name
            # Spark puts a window into a column of its own before it makes up names.
            child = called if called in _WINDOWS else column_name(extract.child)
            return f"{child}.{key.string}" if key.HasField("string") else f"{child}[{column_name(extract.extraction)}]"
        case "sort_order":
            order = expression.sort_order
            descending = order.direction == pb.Expression.SortOrder.SORT_DIRECTION_DESCENDING
            return f"{column_name(order.child)} {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}"
        case _:
            return _call_of_rows(expression)


def _written(text: str) -> str:
    """A piece of text as the name of a column shows it: numbers without what tells their type, `DATE '…'`."""
    match tokenize(text):
        case [Token("number", number)] if number == text:
            return _plain_number(number)
        case [Token("word", _, word), Token("string", value)] if word in _TYPED:
            return f"{word} {value}" if value.startswith("'") and value.count("'") == 2 else text
        case _:
            return text


def _plain_number(text: str) -> str:
    digits = text.rstrip("LSYBDFlsybdf")
    whole, point, fraction = digits.partition(".")
    if not (whole + fraction).isdigit() or not whole or bool(point) != bool(fraction):
        return text
    return digits if text[len(digits) :].upper() in (("BD", "D", "F") if point else ("L", "S", "Y")) else text


def call_name(name: str, arguments: list[str], distinct: bool = False) -> str:  # noqa: C901, PLR0911, PLR0912
    """The text of a call of a function or an operator, from that of its arguments."""
    if name.lower() in _INFIX and len(arguments) == 2:
        shown = name.lower() if name.lower() == "div" else name.upper().replace("==", "=")
        return f"({arguments[0]} {shown} {arguments[1]})"
    match name.lower():
        case unequal if unequal in _UNEQUAL and len(arguments) == 2:
            return f"(NOT ({arguments[0]} = {arguments[1]}))"
        case "||":
            return call_name("concat", arguments, distinct)
        case "not" if len(arguments) == 1:
            return f"(NOT {arguments[0]})"
        case "in" if arguments:
            return f"({arguments[0]} IN ({', '.join(arguments[1:])}))"
        case "positive" if len(arguments) == 1:
            return f"(+ {arguments[0]})"
        case "isnull" | "isnotnull" if len(arguments) == 1:
            return f"({arguments[0]} IS {'NOT ' if name.lower() == 'isnotnull' else ''}NULL)"
        case "like" if len(arguments) == 2:
            return f"{arguments[0]} LIKE {arguments[1]}"
        case "from_json" | "from_csv":
            arguments = arguments[:1]
        case "log" if len(arguments) == 1:
            return f"LOG(E(), {arguments[0]})"
        case capital if capital in _CAPITALS:
            return f"{capital.upper()}({', '.join(arguments)})"
        case "when":
            return _case(arguments)
        case "negative" if len(arguments) == 1:
            return f"-{arguments[0]}" if arguments[0][:1].isdigit() else f"(- {arguments[0]})"
        case "if" if len(arguments) == 3:
            return f"(IF({', '.join(arguments)}))"
        case "string" | "timestamp" if len(arguments) == 1:
            return arguments[0]
        case known if known in _DEFAULTS and len(arguments) == _DEFAULTS[known][0]:
            arguments = [*arguments, _DEFAULTS[known][1]]
    return f"{name}({'DISTINCT ' if distinct else ''}{', '.join(arguments)})"


def _case(arguments: list[str]) -> str:
    """`CASE` from condition, value, condition, value, …, and the value else if there is one."""
    pairs = zip(arguments[::2], arguments[1::2], strict=False)
    otherwise = f" ELSE {arguments[-1]}" if len(arguments) % 2 else ""
    return "CASE" + "".join(f" WHEN {condition} THEN {value}" for condition, value in pairs) + otherwise + " END"


def _call_of_rows(expression: pb.Expression) -> str:
    """A function over a window of rows, one over the values of a list, or the user's own; of others, what they are."""
    match expression.WhichOneof("expr_type"):
        case "window":
            return f"{column_name(expression.window.window_function)} OVER ({_rows_of(expression.window)})"
        case "common_inline_user_defined_function":
            udf = expression.common_inline_user_defined_function
            return call_name(udf.function_name, [column_name(a) for a in udf.arguments], distinct=False)
        case "lambda_function":
            variables = ["namedlambdavariable()"] * len(expression.lambda_function.arguments)
            return call_name("lambdafunction", [column_name(expression.lambda_function.function), *variables])
        case "unresolved_named_lambda_variable":
            return "namedlambdavariable()"
        case other:
            return other or ""


def _rows_of(window: pb.Expression.Window) -> str:
    """What stands in the brackets behind OVER."""
    partition = ", ".join(column_name(key) for key in window.partition_spec)
    order = ", ".join(column_name(pb.Expression(sort_order=key)) for key in window.order_spec)
    spec = [f"PARTITION BY {partition}" if partition else "", f"ORDER BY {order}" if order else ""]
    frame = window.frame_spec
    if window.HasField("frame_spec"):
        is_rows = frame.frame_type == pb.Expression.Window.WindowFrame.FRAME_TYPE_ROW
        lower, upper = _boundary(frame.lower, "PRECEDING"), _boundary(frame.upper, "FOLLOWING")
        spec.append(f"{'ROWS' if is_rows else 'RANGE'} BETWEEN {lower} AND {upper}")
    elif order:
        spec.append("RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW")
    else:
        spec.append("ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING")
    return " ".join(part for part in spec if part)


def _boundary(boundary: pb.Expression.Window.WindowFrame.FrameBoundary, side: str) -> str:
    match boundary.WhichOneof("boundary"):
        case "current_row":
            return "CURRENT ROW"
        case "unbounded":
            return f"UNBOUNDED {side}"
        case _:
            return f"{column_name(boundary.value)} FOLLOWING"


def _literal(literal: pb.Expression.Literal) -> str:
    kind = literal.WhichOneof("literal_type")
    if kind is None or kind == "null":
        return "NULL"
    value = getattr(literal, kind)
    if kind == "boolean":
        return str(value).lower()
    match kind:
        case "decimal":
            return str(literal.decimal.value)
        case "date":
            return f"DATE '{date(1970, 1, 1) + timedelta(days=value)}'"
        case "timestamp" | "timestamp_ntz":
            moment = datetime(1970, 1, 1) + timedelta(microseconds=value)  # noqa: DTZ001 - a wall clock
            return f"{kind.upper()} '{moment}'"
    return value if kind == "string" else str(value).strip()


def outline(relation: pb.Relation) -> str:
    """The plan as a tree, one line for each node, streaming ones marked with `~` as Spark does."""
    lines: list[str] = []
    pending = [(relation, "", "")]
    while pending:
        node, first, rest = pending.pop()
        lines.append(first + ("~" if is_streaming(node) else "") + _node(node))
        below = list(children(node))
        for child in reversed(below):
            last = child is below[-1]
            pending.append((child, rest + ("+- " if last else ":- "), rest + ("   " if last else ":  ")))
    return "\n".join(lines)


def _node(relation: pb.Relation) -> str:
    """One line about one node."""
    kind = relation.WhichOneof("rel_type") or "unknown"
    name = _NODE_NAMES.get(kind) or "".join(part.capitalize() for part in kind.split("_"))
    detail = ", ".join(column_name(expression) for expression in top_expressions(relation))
    match kind:
        case "read" if relation.read.HasField("named_table"):
            return f"UnresolvedRelation [{relation.read.named_table.unparsed_identifier}]"
        case "read":
            source = relation.read.data_source
            return " ".join(["Relation", source.format, *source.paths])
        case "subquery_alias":
            return f"SubqueryAlias {relation.subquery_alias.alias}"
        case "with_watermark":
            detail = f"{relation.with_watermark.event_time}, {relation.with_watermark.delay_threshold}"
        case "deduplicate":
            within = "WithinWatermark" if relation.deduplicate.within_watermark else ""
            return f"Deduplicate{within} [{', '.join(relation.deduplicate.column_names)}]"
        case "join":
            how = pb.Join.JoinType.Name(relation.join.join_type).removeprefix("JOIN_TYPE_").title().replace("_", "")
            detail = ", ".join(relation.join.using_columns) or detail
            return f"Join {how}, ({detail})" if detail else f"Join {how}"
        case "sql":
            detail = " ".join(relation.sql.query.split())
    text = f"{name} [{detail}]" if detail else name
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
