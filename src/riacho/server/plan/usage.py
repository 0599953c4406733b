"""Which columns of a plan's parts are used further up.

    Project k                       k is asked for here …
      Deduplicate k, ts             … so of this one's input k and ts are used
        Read k, ts, v

Spark's optimizer drops the other columns before it plans the operators, and both sides of that can be seen. An operator
must not have two columns with event time, and one that was dropped does not count. A file reader does not look at the
values of a column that was dropped, so it does not mind what they are.

Often it cannot be told whether a column is used: what will the optimizer make of a filter, what is in a relation of a
kind not known here? So the answer has two bounds. Who asks what is used wants `surely`, and who asks what may be left
out wants what is not even in `perhaps`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.plan.column_names import output_name
from riacho.server.plan.event_time import ColumnNames
from riacho.server.plan.facts import kind_of
from riacho.server.plan.mentions import EVERY, Names, Usage, makes_rows, mentioned, named, named_in_text
from riacho.server.plan.walk import Path, child_paths, top_expressions

Used = dict[Path, Usage]
"""By the place of a relation, which of its columns are used."""

_TRANSPARENT = frozenset(
    {"sort", "limit", "offset", "tail", "subquery_alias", "repartition", "repartition_by_expression", "hint", "filter",
     "sample", "collect_metrics", "with_watermark", "drop_na", "fill_na", "replace"}
)  # fmt: skip
"""Relations that give the columns of their input, each made of itself alone."""


def _no_names(relation: pb.Relation) -> list[str]:  # noqa: ARG001
    return []


def columns_used(plan: pb.Relation, columns: ColumnNames = _no_names) -> Used:
    """What is used of each part of `plan`, all of whose own columns are.

    `columns`: the names of a relation's; without them much that is used is not known to be so for sure.
    """
    used: Used = {}
    pending: list[tuple[Path, pb.Relation, Usage]] = [((), plan, Usage(_lower(columns(plan)), EVERY))]
    while pending:
        place, node, usage = pending.pop()
        used[place] = usage
        inputs = list(child_paths(node))
        for (steps, child), below in zip(inputs, _of_inputs(node, usage, columns, len(inputs)), strict=True):
            pending.append(((*place, *steps), child, below))
    return used


def _of_inputs(node: pb.Relation, used: Usage, columns: ColumnNames, inputs: int) -> Sequence[Usage]:
    """What is used of each of the inputs of a node if `used` is what is used of the node.

    A name that the node does not make is passed on even where it is none of its columns: `df.select("a").sort("b")`
    means the `b` below.
    """
    kind = node.WhichOneof("rel_type") or ""
    match kind:
        case "project":
            below = _projected(node.project.expressions, used)
        case "with_columns":
            made = [pb.Expression(alias=alias) for alias in node.with_columns.aliases]
            below = _made_of(made, used) | used.without(alias.name[0] for alias in node.with_columns.aliases)
        case "with_columns_renamed":
            below = _renamed(node.with_columns_renamed, used)
        case "drop":
            # What is asked for by its name is there all the same: `df.drop("a").where("a > 1")`.
            kept = used.perhaps.without(node.drop.column_names)
            below = Usage(used.surely, kept | used.perhaps.asked_for)
        case "aggregate":
            results = [e for e in node.aggregate.aggregate_expressions if output_name(e) in used.surely]
            surely = mentioned([*node.aggregate.grouping_expressions, *results])
            # The state has all results: a later run of the query may ask for another one.
            below = surely | mentioned(top_expressions(node)).doubtful | _only_named(used)
        case "deduplicate" if node.deduplicate.column_names:
            below = used | named(*node.deduplicate.column_names)
        case "deduplicate":
            below = Usage(used.surely | _lower(columns(node.deduplicate.input)), EVERY)
        case "set_op" if node.set_op.by_name and _is_union_all(node.set_op):
            below = used.doubtful
        case "join":
            return _joined(node, used, columns)
        case "with_relations" if node.with_relations.root.HasField("sql"):
            below = Usage(perhaps=named_in_text(node.with_relations.root.sql.query)) | _only_named(used)
        case _ if kind in _TRANSPARENT:
            below = used | _looked_at(node).doubtful
        case _:
            below = Usage(perhaps=EVERY)
    return [below] * inputs


def _looked_at(node: pb.Relation) -> Usage:
    """What a transparent node looks at itself."""
    match node.WhichOneof("rel_type"):
        case "with_watermark":
            return named(node.with_watermark.event_time)
        case "drop_na":
            return named(*node.drop_na.cols) if node.drop_na.cols else Usage(perhaps=EVERY)
        case "sample" if node.sample.deterministic_order:
            return Usage(perhaps=EVERY)  # it sorts by all columns, so that the parts of `randomSplit` fit together
        case "fill_na":
            return named(*node.fill_na.cols)
        case "replace":
            return named(*node.replace.cols)
        case _:
            return mentioned(top_expressions(node))


def _projected(projected: Iterable[pb.Expression], used: Usage) -> Usage:
    made = [e for e in projected if not e.HasField("unresolved_star")]
    stars = [e.unresolved_star for e in projected if e.HasField("unresolved_star")]
    below = _made_of(made, used)
    passed = Usage(used.surely - set(map(output_name, made)), used.perhaps)
    if not stars:
        return below | _only_named(used.without(filter(None, map(_written_name, made))))
    targets = [star.unparsed_target.removesuffix(".*") for star in stars if star.unparsed_target]
    return below | passed | named(*targets).doubtful


def _made_of(made: Sequence[pb.Expression], used: Usage) -> Usage:
    """What the columns `made` are made of, those that are used. One may be made of another one beside it."""
    mentions = [mentioned([expression]) for expression in made]
    mentioning = Counter(name for usage in mentions for name in _lower(usage.perhaps.named))
    below = Usage()
    for expression, usage in zip(made, mentions, strict=True):
        name = output_name(expression)
        beside = mentioning[name] > (name in _lower(usage.perhaps.named))
        if name in used.surely:
            below |= usage
        elif beside or name in used.perhaps or _written_name(expression) is None or makes_rows(expression):
            below |= usage.doubtful
    return below


def _renamed(node: pb.WithColumnsRenamed, used: Usage) -> Usage:
    pairs = [*node.rename_columns_map.items(), *((each.col_name, each.new_col_name) for each in node.renames)]
    old = {new.lower(): before.lower() for before, new in pairs}
    surely = frozenset(old.get(name, name) for name in used.surely)
    if old.keys() & set(old.values()):
        return Usage(surely, EVERY)  # names that go from one column to another
    asked = used.perhaps.asked_for
    below = asked | Names(frozenset(before for before, new in pairs if new in asked))
    unused = used.perhaps.all_but
    if unused is not None:
        # A name that was given up does not tell any more which column is unused.
        kept = {name for name in unused if name.lower() not in old.values()}
        below |= EVERY.without(kept | {before for before, new in pairs if new in unused})
    return Usage(surely, below)


def _joined(node: pb.Relation, used: Usage, columns: ColumnNames) -> Sequence[Usage]:
    join = node.join
    both = used | mentioned(top_expressions(node)) | named(*join.using_columns)
    # The state of two streams has whole rows: a later run of the query may ask for another column.
    perhaps = EVERY if kind_of(node) == "join" else both.perhaps
    sides = [_lower(columns(side)) for side in (join.left, join.right)]
    shared = (sides[0] & sides[1]) - _lower(join.using_columns)
    return [Usage((both.surely & side) - shared, perhaps) for side in sides]


def _is_union_all(node: pb.SetOperation) -> bool:
    return node.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and node.is_all


def _written_name(expression: pb.Expression) -> str | None:
    """The name of the column that an expression makes; None if it is put together from what the expression says."""
    if expression.HasField("unresolved_attribute"):
        parts = column_parts(expression.unresolved_attribute.unparsed_identifier)
        return parts[-1] if parts else None
    return expression.alias.name[0] if len(expression.alias.name) == 1 else None


def _only_named(used: Usage) -> Usage:
    """What is asked for by names that are none of a node's columns."""
    return Usage(perhaps=used.perhaps.asked_for)


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
