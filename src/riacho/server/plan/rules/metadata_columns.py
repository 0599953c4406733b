"""`_metadata` and `input_file_name()` → a column that file leaves bring along, carried up to where it is used.

    before                                        after
    WithColumns                                   Drop _metadata
      input_file_name() AS source,                  WithColumns
      _metadata.file_size AS size                     regexp_replace(_metadata.file_path, …) AS source,
      Project a                                       _metadata.file_size AS size
        Read (streaming) json /landing                Project a, _metadata
                                                        Read (streaming) json /landing

In Spark `_metadata` is hidden: `select("*")` does not show it, yet it resolves above projections, filters and the like
(`LogicalPlan.metadataOutput`). The engine has no hidden columns, so here it is an ordinary column behind the data
columns, present from the leaf up to the highest node that uses it and dropped right above that one. What Spark does
not let through (aggregates, unions, joins by column names) does not let it through here.

`input_file_name()` is not quite `_metadata.file_path`: a local path starts with `file:///` in the one and with `file:/`
in the other. Unlike the column it may stand above a union; above an aggregate or a join it is an empty string.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.facts import (
    FILE_FUNCTIONS,
    METADATA,
    is_streaming_leaf,
    leaf_identity,
    mentions_file_function,
    mentions_metadata,
    uses_metadata,
)
from riacho.server.plan.from_sql.select_items import Call, Role, name_columns
from riacho.server.plan.rules.sql_queries import as_relations
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import children, expressions, replace, top_expressions, transform_expressions, walk
from riacho.server.sql.pieces import UnknownSqlError
from riacho.server.sql.tokens import Edit, Token, closing, splice, tokenize
from riacho.server.sql.words import words

_THROUGH = words(
    "filter sort limit offset sample repartition repartition_by_expression subquery_alias with_columns hint tail drop "
    "with_columns_renamed with_watermark collect_metrics deduplicate fill_na drop_na replace"
)
"""Nodes that pass on all columns of their one input."""

_VISIBLE = "__riacho_visible"


def metadata_columns(relation: pb.Relation, context: Context) -> pb.Relation:
    """Apply the rule."""
    if not uses_metadata(relation):
        return relation
    copy = pb.Relation()
    copy.CopyFrom(relation)
    _read_texts(copy, context)
    nodes = _nodes(copy)
    for node in reversed(nodes):
        _look(node, context)
    for node in nodes:
        _demand(node)
    context.metadata_leaves |= {
        leaf_identity(node.relation) for node in nodes if node.needed and is_streaming_leaf(node.relation)
    }
    for node in reversed(nodes):  # inner nodes first: an edit of an outer one copies them
        _edit(node, context)
    return copy


@dataclass
class _MetadataNode:
    """A node of the plan and what is found out about it.

    `column`, `function`: whether `_metadata`, and whether file functions, still resolve above this node. `last`:
    whether the hidden column is then the last one. `uses`: whether its own expressions use it. `needed`: whether a
    node above does. `shown`: a projection that lists `_metadata` itself, so that it is a plain column from here on.
    """

    relation: pb.Relation
    kind: str
    below: list[_MetadataNode]
    column: bool = False
    function: bool = False
    last: bool = False
    uses: bool = False
    needed: bool = False
    shown: bool = False


def _read_texts(root: pb.Relation, context: Context) -> None:
    """Make relations of SQL text above which a file function is called."""
    pending = [(root, False)]
    while pending:
        node, asked = pending.pop()
        if asked and _is_text_over_files(node, context):
            with suppress(UnknownSqlError):  # then nothing can be seen through it
                node.CopyFrom(as_relations(node))
        asked = asked or any(map(mentions_file_function, expressions(node)))
        pending += [(child, asked) for child in children(node)]


def _is_text_over_files(node: pb.Relation, context: Context) -> bool:
    if node.WhichOneof("rel_type") != "with_relations" or node.with_relations.root.WhichOneof("rel_type") != "sql":
        return False
    return any(is_streaming_leaf(leaf) and context.has_metadata(leaf) for leaf in walk(node))


def _nodes(root: pb.Relation) -> list[_MetadataNode]:
    """All nodes, parents first."""
    nodes = [_MetadataNode(root, root.WhichOneof("rel_type") or "", [])]
    for node in nodes:  # grows while it is gone through
        node.below = [_MetadataNode(child, child.WhichOneof("rel_type") or "", []) for child in children(node.relation)]
        nodes += node.below
    return nodes


def _look(node: _MetadataNode, context: Context) -> None:
    """Find out what resolves above `node`, and what it uses itself; its inputs have been looked at."""
    if is_streaming_leaf(node.relation):
        node.column = node.function = node.last = context.has_metadata(node.relation)
        return
    column = any(child.column for child in node.below)
    function = any(child.function for child in node.below)
    own = list(expressions(node.relation))
    node.uses = (column and any(map(mentions_metadata, own))) or (function and any(map(mentions_file_function, own)))
    match node.kind:
        case "project":
            node.shown = any(map(_shows_metadata, top_expressions(node.relation)))
            stars = any(e.HasField("unresolved_star") for e in top_expressions(node.relation))
            node.column, node.function, node.last = column and not node.shown, function, not stars and not node.shown
        case "set_op":
            union = (
                node.relation.set_op.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and node.relation.set_op.is_all
            )
            node.function = node.last = union and all(child.function and child.last for child in node.below)
        case "join":
            # Above a join only the column resolves, if it comes from one side and no column was merged away.
            outer = node.relation.join.join_type
            one_sided = outer in (pb.Join.JOIN_TYPE_LEFT_SEMI, pb.Join.JOIN_TYPE_LEFT_ANTI)
            sides = [child.column for child in (node.below[:1] if one_sided else node.below)]
            node.column = sum(sides) == 1 and not node.relation.join.using_columns
        case "deduplicate":
            # With all columns as keys, one more column would make other duplicates.
            kept = not node.relation.deduplicate.all_columns_as_keys
            node.column, node.function, node.last = column and kept, function and kept, node.below[0].last
        case "with_relations":
            text = node.relation.with_relations.root
            if text.WhichOneof("rel_type") == "sql":
                node.uses = column and any(_is_file_word(token) for token in tokenize(text.sql.query))
            else:
                node.column, node.function, node.last = node.below[0].column, node.below[0].function, node.below[0].last
        case kind if kind in _THROUGH:
            node.column, node.function = column, function
            node.last = node.below[0].last and kind != "with_columns"
        case "aggregate":
            pass  # its keys may use the column; nothing resolves above it
        case _:
            node.uses = False


def _shows_metadata(expression: pb.Expression) -> bool:
    """Whether a column of a projection is named `_metadata`."""
    match expression.WhichOneof("expr_type"):
        case "alias":
            return list(expression.alias.name) == [METADATA]
        case "unresolved_attribute":
            return last_part(expression.unresolved_attribute.unparsed_identifier) == METADATA
        case _:
            return False


def _demand(node: _MetadataNode) -> None:
    """Tell the inputs of `node` whether they must hand up the column; what is needed above `node` is known."""
    passes_on = node.needed and (node.column or node.function) and not node.shown
    wanted = node.uses or passes_on
    text = node.kind == "with_relations" and node.below[0].kind == "sql"
    inputs = node.below[:1] if node.kind == "with_relations" and not text else node.below
    for child in inputs:
        child.needed = wanted and (child.column or child.function)


def _edit(node: _MetadataNode, context: Context) -> None:
    """Make the relation of `node` carry, use and drop the column as decided."""
    relation = node.relation
    if is_streaming_leaf(relation):
        if not node.needed and leaf_identity(relation) in context.metadata_leaves:
            _drop_above(relation)  # the same source is used elsewhere with the column
        return
    has_column = any(child.needed for child in node.below)
    _rewrite_functions(relation, node, has_column)
    if not has_column:
        return
    if node.kind == "project":
        if _has_star(relation) and node.shown:
            _show_once(relation)
            return
        if _has_star(relation):
            if not node.needed:
                _drop_above(relation)
        elif node.needed and not node.shown:
            relation.project.expressions.add().unresolved_attribute.unparsed_identifier = METADATA
    elif node.kind != "aggregate" and not node.needed:
        _drop_above(relation)


def _has_star(relation: pb.Relation) -> bool:
    return any(e.HasField("unresolved_star") and not mentions_metadata(e) for e in top_expressions(relation))


def _drop_above(relation: pb.Relation) -> None:
    dropped = pb.Relation(drop=pb.Drop(input=relation, column_names=[METADATA]))
    replace(relation, dropped)


def _show_once(relation: pb.Relation) -> None:
    """`select("*", "_metadata")`: the star brings the column too, so take that away and leave the one asked for."""
    for expression in relation.project.expressions:
        if _shows_metadata(expression):
            shown = pb.Expression()
            shown.alias.name.append(_VISIBLE)
            shown.alias.expr.CopyFrom(expression.alias.expr if expression.HasField("alias") else expression)
            expression.CopyFrom(shown)
    _drop_above(relation)
    renamed = pb.Relation()
    renamed.with_columns_renamed.input.CopyFrom(relation)
    rename = renamed.with_columns_renamed.renames.add()
    rename.col_name, rename.new_col_name = _VISIBLE, METADATA
    relation.CopyFrom(renamed)


def _rewrite_functions(relation: pb.Relation, node: _MetadataNode, has_column: bool) -> None:
    """Replace calls of `FILE_FUNCTIONS`, in expressions and in texts, by expressions over the column."""
    if node.kind == "with_relations" and node.below[0].kind == "sql":
        text = relation.with_relations.root.sql
        text.query = _rewrite_text(text.query, has_column, "query")
        return
    if node.kind in ("project", "aggregate"):
        for expression in top_expressions(relation):
            _keep_name(expression)
            if expression.HasField("expression_string"):
                column = expression.expression_string
                column.expression = _rewrite_text(column.expression, has_column, "column")

    def change(expression: pb.Expression) -> pb.Expression:
        match expression.WhichOneof("expr_type"):
            case "unresolved_function" if mentions_file_function(expression):
                return _function(expression.unresolved_function.function_name, has_column)
            case "call_function" if mentions_file_function(expression):
                return _function(expression.call_function.function_name, has_column)
            case "expression_string" if mentions_file_function(expression):
                part = expression.expression_string
                part.expression = _rewrite_text(part.expression, has_column, "part")
                return expression
            case _:
                return _as_plain_column(expression)

    transform_expressions(relation, change)


def _as_plain_column(expression: pb.Expression) -> pb.Expression:
    """`df.metadataColumn("_metadata")` asks for a hidden column, which it no longer is."""
    if mentions_metadata(expression) and expression.HasField("unresolved_attribute"):
        expression.unresolved_attribute.ClearField("is_metadata_column")
    return expression


def _keep_name(expression: pb.Expression) -> None:
    """Give a column without an alias the name that it would have had.

    Not only for the functions: the engine calls `upper(_metadata.file_name)` just `upper(file_name)`.
    """
    if expression.WhichOneof("expr_type") not in ("unresolved_function", "call_function", "cast"):
        return
    if any(mentions_file_function(e) or mentions_metadata(e) for e in [expression, *expressions(expression)]):
        alias = pb.Expression()
        alias.alias.name.append(column_name(expression))
        alias.alias.expr.CopyFrom(expression)
        expression.CopyFrom(alias)


_VALUES = {
    # Spark: InputFileName is a URI with an empty authority, file_path is Hadoop's form of it
    "input_file_name": ("regexp_replace(_metadata.file_path, '^file:/+', 'file:///')", "''"),
    "input_file_block_start": ("_metadata.file_block_start", "-1"),
    "input_file_block_length": ("_metadata.file_block_length", "-1"),
}
"""What each function is where there is a file, and where there is none."""


def _function(name: str, has_column: bool) -> pb.Expression:
    """The expression that stands for a call of one of `FILE_FUNCTIONS`."""
    if not has_column:
        none = pb.Expression.Literal(string="") if name.lower() == "input_file_name" else pb.Expression.Literal(long=-1)
        return pb.Expression(literal=none)
    if name.lower() != "input_file_name":
        return _attribute(f"{METADATA}.{name.lower().removeprefix('input_')}")
    arguments = [_attribute(f"{METADATA}.file_path"), *map(_string, ("^file:/+", "file:///"))]
    call = pb.Expression.UnresolvedFunction(function_name="regexp_replace", arguments=arguments)
    return pb.Expression(unresolved_function=call)


def _attribute(name: str) -> pb.Expression:
    return pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=name))


def _string(value: str) -> pb.Expression:
    return pb.Expression(literal=pb.Expression.Literal(string=value))


def _rewrite_text(text: str, has_column: bool, role: Role) -> str:
    """SQL text with the calls of `FILE_FUNCTIONS` replaced."""
    tokens = tokenize(text)
    calls = []
    edits = []
    for at, token in enumerate(tokens):
        function = token.text.lower()
        if function not in FILE_FUNCTIONS or not (tokens[at + 1 : at + 2] and tokens[at + 1].is_symbol("(")):
            continue
        behind = closing(tokens, at + 1)
        if behind < len(tokens):
            calls.append(Call(token.start, tokens[behind].end, f"{function}()"))
            edits.append(Edit(token.start, tokens[behind].end, _VALUES[function][0 if has_column else 1]))
    return splice(text, [*edits, *name_columns(text, calls, role)])


def _is_file_word(token: Token) -> bool:
    return (token.name or "").lower() in FILE_FUNCTIONS | {METADATA}
