"""`current_timestamp()` and its kin → literals of the batch's time, so that a repeated batch gives the same rows.

    before                                   after, for a batch at 2026-11-21T22:57:32.123Z
    Project a, current_timestamp()           Project a, TIMESTAMP '2026-11-21 22:57:32.123' AS `current_timestamp()`
      Read (streaming) json /landing           Read (streaming) json /landing

The calls are found once per query (`find_times`), and each batch fills its time in (`Times.fill`). Source:
`MicroBatchExecution.runBatch`, where Spark replaces CurrentTimestamp, CurrentDate and LocalTimestamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from riacho.protos import pb
from riacho.server.plan.from_sql.select_items import Call, Role, name_columns
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import Path, at, expression_paths, expressions, top_expressions, walk, walk_paths
from riacho.server.sql.tokens import Edit, splice, tokenize
from riacho.zones import tzinfo_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class BatchTime:
    """The time of a batch, in the session's time zone."""

    time_ms: int
    zone: str = "UTC"

    def local(self) -> datetime:
        """The wall clock, without a zone. Raises ValueError if `zone` is not known."""
        utc = _EPOCH + timedelta(milliseconds=self.time_ms)
        return utc.astimezone(tzinfo_of(self.zone)).replace(tzinfo=None)


def _timestamp(time: BatchTime) -> pb.Expression.Literal:
    return pb.Expression.Literal(timestamp=time.time_ms * 1000)


def _local_timestamp(time: BatchTime) -> pb.Expression.Literal:
    since = time.local() - _EPOCH.replace(tzinfo=None)
    return pb.Expression.Literal(timestamp_ntz=since // timedelta(microseconds=1))


def _date(time: BatchTime) -> pb.Expression.Literal:
    return pb.Expression.Literal(date=(time.local().date() - date(1970, 1, 1)).days)


def _seconds(time: BatchTime) -> pb.Expression.Literal:
    return pb.Expression.Literal(long=time.time_ms // 1000)


_FUNCTIONS: dict[str, Callable[[BatchTime], pb.Expression.Literal]] = {
    "current_timestamp": _timestamp,
    "now": _timestamp,
    "localtimestamp": _local_timestamp,
    "current_date": _date,
    "curdate": _date,
    "unix_timestamp": _seconds,
}
_WITHOUT_BRACKETS = frozenset({"current_timestamp", "current_date", "localtimestamp"})
"""These are calls in SQL text even without brackets."""


@dataclass(frozen=True)
class _ClockCall:
    """A call of one of `_FUNCTIONS`: an expression of the plan."""

    path: Path
    function: str


@dataclass(frozen=True)
class _Text:
    """A SQL text of the plan with calls in it. `field`: the message's field that holds the text.

    `aliases`: what else must be added so that its columns keep their names.
    """

    path: Path
    field: str
    text: str
    calls: list[tuple[Call, str]]
    aliases: list[Edit]


class Times:
    """The places in a plan where the batch's time goes."""

    def __init__(self, calls: list[_ClockCall], texts: list[_Text]) -> None:
        self._calls = calls
        self._texts = texts

    def __bool__(self) -> bool:
        return bool(self._calls or self._texts)

    def fill(self, plan: pb.Relation, time: BatchTime) -> None:
        """Write the time into `plan`, a copy of the one these places were found in."""
        for call in self._calls:
            at(plan, call.path).literal.CopyFrom(_FUNCTIONS[call.function](time))
        for text in self._texts:
            edits = [Edit(call.start, call.end, _sql(_FUNCTIONS[name](time))) for call, name in text.calls]
            setattr(at(plan, text.path), text.field, splice(text.text, [*edits, *text.aliases]))


def find_times(plan: pb.Relation) -> Times:
    """Find the calls in `plan`, and give the columns that are nothing else their name, which the literal would lose.

    `plan` is altered in place by those aliases.
    """
    words = plan.SerializeToString().lower()
    if not any(name.encode() in words for name in _FUNCTIONS):
        return Times([], [])
    for node in walk(plan):
        if node.WhichOneof("rel_type") in ("project", "aggregate"):
            for expression in top_expressions(node):
                _keep_name(expression)
    calls: list[_ClockCall] = []
    texts: list[_Text] = []
    for path, node in walk_paths(plan):
        if node.WhichOneof("rel_type") == "sql":
            texts += _text((*path, "sql"), "query", node.sql.query, "query")
        lists_columns = node.WhichOneof("rel_type") in ("project", "aggregate")
        for steps, expression in expression_paths(node):
            place = (*path, *steps)
            if name := time_function(expression):
                calls.append(_ClockCall(place, name))
            elif expression.HasField("expression_string"):
                role: Role = "column" if lists_columns and len(steps) == _COLUMN_DEPTH else "part"
                text = expression.expression_string.expression
                texts += _text((*place, "expression_string"), "expression", text, role)
    return Times(calls, texts)


def fill_times(plan: pb.Relation, time: BatchTime) -> None:
    """Find the calls in `plan` and write the time there, both in place: for a plan that is made anew in each batch."""
    find_times(plan).fill(plan, time)


_COLUMN_DEPTH = 3
"""The steps from a relation to one of its columns: `project`, `expressions`, position."""


def _text(path: Path, field: str, text: str, role: Role) -> list[_Text]:
    """The text as one to fill in, if it has calls."""
    calls = time_calls(text)
    return [_Text(path, field, text, calls, name_columns(text, [call for call, _ in calls], role))] if calls else []


def time_function(expression: pb.Expression) -> str | None:
    """The name of the function if this is a call without arguments of one of `_FUNCTIONS`."""
    call: pb.Expression.UnresolvedFunction | pb.CallFunction
    match expression.WhichOneof("expr_type"):
        case "unresolved_function":
            call = expression.unresolved_function
        case "call_function":
            call = expression.call_function
        case _:
            return None
    name = call.function_name.lower()
    return name if name in _FUNCTIONS and not call.arguments else None


def _keep_name(expression: pb.Expression) -> None:
    if expression.HasField("alias") or not any(time_function(e) for e in [expression, *expressions(expression)]):
        return
    named = pb.Expression()
    named.alias.name.append(column_name(expression))
    named.alias.expr.CopyFrom(expression)
    expression.CopyFrom(named)


def time_calls(text: str) -> list[tuple[Call, str]]:
    """Where `text` calls one of `_FUNCTIONS`, and which."""
    if not any(name in text.lower() for name in _FUNCTIONS):
        return []
    tokens = tokenize(text)
    found = []
    for position, token in enumerate(tokens):
        name = token.word.lower()
        if name not in _FUNCTIONS or (
            position and (tokens[position - 1].text == "." or tokens[position - 1].word == "AS")
        ):
            continue
        after = [behind.text for behind in tokens[position + 1 : position + 3]]
        if after == ["(", ")"]:
            found.append((Call(token.start, tokens[position + 2].end, f"{name}()"), name))
        elif name in _WITHOUT_BRACKETS and after[:1] not in (["("], ["."]):
            found.append((Call(token.start, token.end, f"{name}()"), name))
    return found


def _sql(literal: pb.Expression.Literal) -> str:
    """A literal as SQL text."""
    match literal.WhichOneof("literal_type"):
        case "timestamp":
            return f"TIMESTAMP '{_moment(literal.timestamp)}Z'"
        case "timestamp_ntz":
            return f"TIMESTAMP_NTZ '{_moment(literal.timestamp_ntz)}'"
        case "date":
            return f"DATE '{date(1970, 1, 1) + timedelta(days=literal.date)}'"
        case _:
            return f"{literal.long}L"


def _moment(micros: int) -> str:
    """A moment in UTC as text."""
    return (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat(" ", "microseconds")
