"""The conditions that stand directly above a read: what all of its rows must meet that anybody wants.

    Project x                         x is the read's `a`, so
      Filter x > 1                    … all rows that are used have a > 1
        Project a AS x, b
          Read a, b, c

From the read upwards, relations are passed that keep rows as they are or leave some out, as long as it is known which
of their columns are the read's. What is not known ends the way: then nothing is said, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.plan.column_names import output_name
from riacho.server.plan.from_sql.expressions import conjuncts, structured
from riacho.server.plan.mentions import makes_rows
from riacho.server.plan.rowwise import looks_around
from riacho.server.plan.walk import Path, child_paths, expressions, top_expressions

ColumnPath = tuple[str, ...]
"""A column of a read, or a field in it, as the read spells them."""
NamedPath = tuple[str, ColumnPath | None]
"""A column's name in lower case, and which of the read's it is; None for any other."""

_TRANSPARENT = frozenset({"filter", "sort", "hint", "repartition", "repartition_by_expression", "drop_na"})
"""Relations that give rows of their input, those that they give as they are."""
_USERS_OWN = frozenset({"common_inline_user_defined_function", "call_function", "typed_aggregate_expression"})


@dataclass(frozen=True)
class Visible:
    """The columns at some place above a read, in order, and which of the read's they are; None for any other.

    `alias`: what may stand before their names; then they mean the columns that were there when it was given, whatever
    was made of them since. `schema`: the read's.
    """

    schema: pa.Schema
    columns: tuple[NamedPath, ...]
    alias: str | None = None
    aliased: tuple[NamedPath, ...] = ()

    def of(self, expression: pb.Expression) -> ColumnPath | None:
        """The read's column, or field, that an expression is."""
        if expression.HasField("unresolved_attribute"):
            return self._attribute(expression.unresolved_attribute)
        extract = expression.unresolved_extract_value
        if expression.HasField("unresolved_extract_value") and extract.extraction.literal.HasField("string"):
            struct = self.of(extract.child)
            return None if struct is None else self._field(struct, (extract.extraction.literal.string,))
        return None

    def type_of(self, path: ColumnPath) -> pa.DataType:
        found = self.schema.field(path[0]).type
        for name in path[1:]:
            found = found.field(name).type
        return found

    def _attribute(self, attribute: pb.Expression.UnresolvedAttribute) -> ColumnPath | None:
        parts = column_parts(attribute.unparsed_identifier)
        found = [self._named(self.columns, parts)] if parts else []
        if len(parts) > 1 and parts[0].lower() == self.alias:
            found.append(self._named(self.aliased, parts[1:]))
        known = [path for path in found if path is not None]
        if len(known) != 1:
            return None
        # A column of a DataFrame may be another one of that name than this: only if nothing was renamed it is not.
        renamed = known[0][:1] != (self._spelled(parts[0]),)
        return None if attribute.HasField("plan_id") and (renamed or len(found) > 1) else known[0]

    def _spelled(self, name: str) -> str | None:
        return next((own for own in self.schema.names if own.lower() == name.lower()), None)

    def _named(self, columns: Iterable[NamedPath], parts: Sequence[str]) -> ColumnPath | None:
        paths = [path for name, path in columns if name == parts[0].lower()]
        return self._field(paths[0], parts[1:]) if len(paths) == 1 and paths[0] is not None else None

    def _field(self, path: ColumnPath, names: Sequence[str]) -> ColumnPath | None:
        for name in names:
            kind = self.type_of(path)
            if not pa.types.is_struct(kind):
                return None
            found = [own.name for own in kind if own.name.lower() == name.lower()]
            if len(found) != 1:
                return None
            path = (*path, found[0])
        return path


@dataclass(frozen=True)
class Condition:
    """One of the conditions that a filter joins by AND. `place`: the filter's; `of`: how many conditions that has."""

    expression: pb.Expression
    visible: Visible
    place: Path
    of: int


@dataclass(frozen=True)
class Placed:
    """A relation, its place in the plan, and what stands above it."""

    place: Path
    node: pb.Relation
    parent: Placed | None = field(default=None, repr=False)


def leaves_below(plan: pb.Relation, wanted: Callable[[pb.Relation], bool]) -> Iterator[Placed]:
    """The relations of a plan that are `wanted`."""
    pending = [Placed((), plan)]
    while pending:
        one = pending.pop()
        if wanted(one.node):
            yield one
        pending += [Placed((*one.place, *steps), child, one) for steps, child in child_paths(one.node)]


def conditions_above(read: Placed, schema: pa.Schema) -> Iterator[Condition]:
    """The conditions above a read with these columns, nearest first."""
    lower = [name.lower() for name in schema.names]
    visible: Visible | None = Visible(
        schema, tuple((name.lower(), (name,) if lower.count(name.lower()) == 1 else None) for name in schema.names)
    )
    above = read.parent
    while above is not None and visible is not None:
        node = above.node
        if node.HasField("filter"):
            parts = conjuncts(structured(node.filter.condition))
            for part in parts:
                yield Condition(part, visible, above.place, len(parts))
        visible = None if any(map(_ends, expressions(node))) else _passed(node, visible)
        above = above.parent


@dataclass(frozen=True)
class RowLimit:
    """No more than `rows` rows of a read are wanted, of those that pass the `filters` at these places."""

    rows: int
    filters: frozenset[Path] = frozenset()


_ONE_FOR_ONE = frozenset({"project", "with_columns", "with_columns_renamed", "drop", "to_df", "subquery_alias", "hint"})
"""Relations that make one row of each of their input's."""


def limit_above(read: Placed) -> RowLimit | None:
    """The limit that stands above a read with nothing between but what makes rows of single rows, and filters."""
    filters: set[Path] = set()
    above = read.parent
    while above is not None:
        node = above.node
        kind = node.WhichOneof("rel_type") or ""
        if kind == "limit":
            return RowLimit(node.limit.limit, frozenset(filters))
        if kind in ("show_string", "html_string"):
            return RowLimit(getattr(node, kind).num_rows + 1, frozenset(filters))  # whether there are more is shown too
        if kind == "filter":
            filters.add(above.place)
        elif kind not in _ONE_FOR_ONE or any(map(makes_rows, top_expressions(node))):
            return None
        if any(map(_ends, expressions(node))):
            return None
        above = above.parent
    return None


def _ends(part: pb.Expression) -> bool:
    """Whether a relation with this expression cannot be passed: it looks at other rows, or may do anything."""
    return looks_around(part) or part.WhichOneof("expr_type") in _USERS_OWN


def _passed(node: pb.Relation, visible: Visible) -> Visible | None:
    """The columns above a node whose input has those; None if nothing is known of them."""
    kind = node.WhichOneof("rel_type") or ""
    columns = visible.columns
    match kind:
        case "subquery_alias" if not node.subquery_alias.qualifier:
            return Visible(visible.schema, columns, node.subquery_alias.alias.lower(), columns)
        case "project" if node.project.HasField("input"):
            made = [_made(expression, visible) for expression in node.project.expressions]
            if any(each is None for each in made):
                return None
            return _with(visible, [column for each in made for column in each or ()])
        case "with_columns":
            return _with(visible, _changed(node.with_columns, visible))
        case "with_columns_renamed":
            return _with(visible, _renamed(node.with_columns_renamed, visible))
        case "drop" if not node.drop.columns:
            gone = {name.lower() for name in node.drop.column_names}
            return _with(visible, [column for column in columns if column[0] not in gone])
        case "to_df" if len(node.to_df.column_names) == len(columns):
            names = [name.lower() for name in node.to_df.column_names]
            return _with(visible, [(name, path) for name, (_, path) in zip(names, columns, strict=True)])
        case _:
            return visible if kind in _TRANSPARENT else None


Columns = list[NamedPath]


def _with(visible: Visible, columns: Columns) -> Visible:
    return replace(visible, columns=tuple(columns))


def _made(expression: pb.Expression, visible: Visible) -> Columns | None:
    """The columns that an item of a projection makes; None if that is not known."""
    expression = structured(expression)
    if expression.HasField("unresolved_star"):
        target = expression.unresolved_star.unparsed_target
        name = target.removesuffix(".*").lower()
        own = name == visible.alias and visible.aliased == visible.columns
        own = own and all(name != known for known, _ in visible.columns)
        return list(visible.columns) if own or not target else None
    if expression.HasField("alias"):
        names = list(expression.alias.name)
        return [(names[0].lower(), visible.of(structured(expression.alias.expr)))] if len(names) == 1 else None
    if expression.HasField("unresolved_attribute"):
        return [(output_name(expression), visible.of(expression))]
    if expression.WhichOneof("expr_type") in ("unresolved_function", "cast", "literal", "unresolved_extract_value"):
        return [(output_name(expression), None)]
    return None


def _changed(node: pb.WithColumns, visible: Visible) -> Columns:
    columns = list(visible.columns)
    for alias in node.aliases:
        name = alias.name[0].lower()
        path = visible.of(structured(alias.expr))
        there = [at for at, (known, _) in enumerate(columns) if known == name]
        for at in there:
            columns[at] = (name, path)
        if not there:
            columns.append((name, path))
    return columns


def _renamed(node: pb.WithColumnsRenamed, visible: Visible) -> Columns:
    columns = list(visible.columns)
    pairs = [*node.rename_columns_map.items(), *((each.col_name, each.new_col_name) for each in node.renames)]
    before = {old.lower() for old, _ in pairs}
    if len(before) < len(pairs) or before & {new.lower() for _, new in pairs}:
        return [(name, None) for name, _ in columns]  # names that go from one column to another
    new = {old.lower(): name.lower() for old, name in pairs}
    return [(new.get(name, name), path) for name, path in columns]
