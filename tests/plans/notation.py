"""Plans as text, for fixtures: one node a line, its inputs indented below it.

    project a, upper(b) AS c          filter a > 1                 with_columns a + 1 AS b, now() AS t
    aggregate k, n -> count(1) AS m   drop a, b                    rename a = b
    alias t                           join inner ON a.k = b.k      join left USING k
    to_df a, b
    union | union distinct | intersect | except                    deduplicate a, b | deduplicate all | within a
    watermark ts 10 seconds           observe name: count(a) AS n  limit 3      sort a     offset 2
    sql SELECT …                      with_relations               (the text first, then what stands beside it)
    stream json /landing              stream table t {key=value}   table t      batch t    (a read of rows, as bound)

`@7` at the end of a line is the node's plan id; in an expression, `a@7` is a column taken from that DataFrame, and
`«…»` is text that the engine reads. Expressions are SQL, read as the DataFrame API would make them.

A fixture file holds cases: `# title`, the plan before, a line `->`, the plan after, an empty line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import read_expression, text_expression
from riacho.server.plan.walk import expressions

HERE = Path(__file__).parent
JOINS = {
    "inner": pb.Join.JOIN_TYPE_INNER,
    "cross": pb.Join.JOIN_TYPE_CROSS,
    "left": pb.Join.JOIN_TYPE_LEFT_OUTER,
    "right": pb.Join.JOIN_TYPE_RIGHT_OUTER,
    "full": pb.Join.JOIN_TYPE_FULL_OUTER,
    "semi": pb.Join.JOIN_TYPE_LEFT_SEMI,
    "anti": pb.Join.JOIN_TYPE_LEFT_ANTI,
}
SET_OPS = {
    "union": pb.SetOperation.SET_OP_TYPE_UNION,
    "intersect": pb.SetOperation.SET_OP_TYPE_INTERSECT,
    "except": pb.SetOperation.SET_OP_TYPE_EXCEPT,
}


@dataclass(frozen=True)
class Case:
    """A plan before and after a rule."""

    title: str
    before: str
    after: str


def cases(name: str) -> Iterator[Case]:
    """The cases of `tests/plans/<name>.txt`."""
    for block in re.split(r"\n\s*\n(?=#)", (HERE / f"{name}.txt").read_text().strip()):
        title, _, plans = block.partition("\n")
        before, arrow, after = plans.partition("\n->\n")
        assert arrow, f"no '->' in case {title!r} of {name}.txt"
        yield Case(title.removeprefix("#").strip(), before, after)


def parse(text: str) -> pb.Relation:
    """The relation that a plan's text means."""
    lines = [line for line in text.splitlines() if line.strip()]
    relation, used = _node(lines, 0)
    assert used == len(lines), f"not below the plan's root: {lines[used]!r}"
    return relation


def _node(lines: list[str], at: int) -> tuple[pb.Relation, int]:
    line = lines[at]
    depth = len(line) - len(line.lstrip())
    inputs: list[pb.Relation] = []
    position = at + 1
    while position < len(lines) and len(lines[position]) - len(lines[position].lstrip()) > depth:
        child, position = _node(lines, position)
        inputs.append(child)
    words, _, plan_id = line.strip().partition(" @") if re.search(r" @\d+$", line) else (line.strip(), "", "")
    kind, _, rest = words.partition(" ")
    relation = _MAKERS[kind](rest.strip(), inputs)
    if plan_id:
        relation.common.plan_id = int(plan_id)
    return relation, position


def expression(text: str) -> pb.Expression:
    """One expression of the notation."""
    pieces: list[str] = []

    def keep(match: re.Match[str]) -> str:
        pieces.append(match.group(1))
        return f"__text_{len(pieces) - 1}"

    made = read_expression(re.sub(r"(\w)@(\d+)", r"\1__id_\2", re.sub(r"«([^»]*)»", keep, text)))
    for node in [made, *expressions(made)]:
        attribute = node.unresolved_attribute
        if not node.HasField("unresolved_attribute"):
            continue
        if kept := re.fullmatch(r"__text_(\d+)", attribute.unparsed_identifier):
            node.CopyFrom(text_expression(pieces[int(kept.group(1))]))
        elif taken := re.fullmatch(r"(.+)__id_(\d+)", attribute.unparsed_identifier):
            attribute.unparsed_identifier, attribute.plan_id = taken.group(1), int(taken.group(2))
    return made


def _list(text: str) -> list[pb.Expression]:
    return [_star(item) or expression(item) for item in _split(text)]


def _star(item: str) -> pb.Expression | None:
    if not item.endswith("*"):
        return None
    star = pb.Expression.UnresolvedStar()
    if item != "*":
        star.unparsed_target = item
    return pb.Expression(unresolved_star=star)


def _split(text: str) -> list[str]:
    """The items of a list, at commas outside brackets and quotes."""
    items = re.findall(r"(?:[^,(«'`]|\((?:[^()]|\([^()]*\))*\)|«[^»]*»|'[^']*'|`[^`]*`)+", text)
    return [item.strip() for item in items]


def _stream(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    assert not inputs
    rest, _, options = rest.partition(" {")
    kind, _, place = rest.partition(" ")
    read = pb.Read(is_streaming=True)
    if kind == "table":
        read.named_table.unparsed_identifier = place
        holder = read.named_table.options
    else:
        read.data_source.format = kind
        read.data_source.paths.extend([place] if place else [])
        holder = read.data_source.options
    for pair in options.rstrip("}").split(", ") if options else ():
        key, _, value = pair.partition("=")
        holder[key] = value
    return pb.Relation(read=read)


def _table(rest: str, _: list[pb.Relation]) -> pb.Relation:
    return pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier=rest)))


def _join(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    how, _, condition = rest.partition(" ")
    join = pb.Join(left=inputs[0], right=inputs[1], join_type=JOINS[how])
    if condition.startswith("USING "):
        join.using_columns.extend(_split(condition.removeprefix("USING ")))
    elif condition:
        join.join_condition.CopyFrom(expression(condition.removeprefix("ON ")))
    return pb.Relation(join=join)


def _set_op(kind: str) -> Callable[[str, list[pb.Relation]], pb.Relation]:
    def make(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
        left, right = inputs
        operation = pb.SetOperation(left_input=left, right_input=right, set_op_type=SET_OPS[kind])
        operation.is_all = kind == "union" and rest != "distinct"
        return pb.Relation(set_op=operation)

    return make


def _with_columns(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    aliases = [column.alias for column in _list(rest)]
    return pb.Relation(with_columns=pb.WithColumns(input=inputs[0], aliases=aliases))


def _aggregate(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    keys, _, aggregates = rest.partition("->")  # no aggregates: distinct keys
    return build.group(inputs[0], _list(keys), _list(aggregates))


def _rename(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    renamed = pb.WithColumnsRenamed(input=inputs[0])
    for pair in _split(rest):
        old, _, new = pair.partition(" = ")
        renamed.renames.add(col_name=old, new_col_name=new)
    return pb.Relation(with_columns_renamed=renamed)


def _deduplicate(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    kind, _, columns = rest.partition(" ")
    if kind == "all":
        return pb.Relation(deduplicate=pb.Deduplicate(input=inputs[0], all_columns_as_keys=True))
    within = kind == "within"
    names = _split(columns if within else rest)
    return pb.Relation(deduplicate=pb.Deduplicate(input=inputs[0], column_names=names, within_watermark=within))


def _watermark(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    column, _, delay = rest.partition(" ")
    return pb.Relation(with_watermark=pb.WithWatermark(input=inputs[0], event_time=column, delay_threshold=delay))


def _observe(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    name, _, metrics = rest.partition(":")
    return pb.Relation(collect_metrics=pb.CollectMetrics(input=inputs[0], name=name, metrics=_list(metrics)))


def _sort(rest: str, inputs: list[pb.Relation]) -> pb.Relation:
    orders = [
        pb.Expression.SortOrder(
            child=child,
            direction=pb.Expression.SortOrder.SORT_DIRECTION_ASCENDING,
            null_ordering=pb.Expression.SortOrder.SORT_NULLS_FIRST,
        )
        for child in _list(rest)
    ]
    return pb.Relation(sort=pb.Sort(input=inputs[0], order=orders, is_global=True))


_MAKERS: dict[str, Callable[[str, list[pb.Relation]], pb.Relation]] = {
    "stream": _stream,
    "table": _table,
    "batch": lambda rest, _: pb.Relation(read=pb.Read(data_source=pb.Read.DataSource(format="arrow", paths=[rest]))),
    "project": lambda rest, inputs: build.project(inputs[0], _list(rest)),
    "filter": lambda rest, inputs: build.where(inputs[0], expression(rest)),
    "with_columns": _with_columns,
    "aggregate": _aggregate,
    "drop": lambda rest, inputs: build.drop(inputs[0], _split(rest)),
    "rename": _rename,
    "alias": lambda rest, inputs: pb.Relation(subquery_alias=pb.SubqueryAlias(input=inputs[0], alias=rest)),
    "join": _join,
    **{kind: _set_op(kind) for kind in SET_OPS},
    "deduplicate": _deduplicate,
    "watermark": _watermark,
    "observe": _observe,
    "to_df": lambda rest, inputs: pb.Relation(to_df=pb.ToDF(input=inputs[0], column_names=_split(rest))),
    "limit": lambda rest, inputs: pb.Relation(limit=pb.Limit(input=inputs[0], limit=int(rest))),
    "offset": lambda rest, inputs: pb.Relation(offset=pb.Offset(input=inputs[0], offset=int(rest))),
    "sort": _sort,
    "sql": lambda rest, _: pb.Relation(sql=pb.SQL(query=rest)),
    "with_relations": lambda _, inputs: pb.Relation(
        with_relations=pb.WithRelations(root=inputs[0], references=inputs[1:])
    ),
}
