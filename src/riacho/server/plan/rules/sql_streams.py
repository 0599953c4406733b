"""SQL text that reads streams → the same text over generated names, and the streams as relations beside it.

    before                                          after
    SQL "SELECT t.a FROM STREAM t                   WithRelations
         WATERMARK ts DELAY OF INTERVAL 1 MINUTE"     SQL "SELECT t.a FROM __riacho_1 AS t"
                                                      SubqueryAlias __riacho_1
                                                        WithWatermark ts, 1 MINUTE
                                                          Read (streaming) t

The engine knows neither `STREAM` nor `WATERMARK`, and not the temporary views that only riacho holds; as relations
beside the text they get the same treatment as those of the DataFrame API.
"""

from __future__ import annotations

from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.read_functions import arguments
from riacho.server.plan.read_functions import relation as relation_of
from riacho.server.plan.rules.inline_views import find_view
from riacho.server.plan.walk import transform
from riacho.server.sql.changes_clause import checked
from riacho.server.sql.heads import may_stream
from riacho.server.sql.references import (
    READ_FUNCTIONS,
    TableReference,
    Watermark,
    function_references,
    table_references,
)
from riacho.server.sql.tokens import Edit, splice


def sql_streams(relation: pb.Relation, context: Context) -> pb.Relation:
    """Apply the rule. Raises ParseError for an incomplete STREAM or WATERMARK clause."""

    def change(node: pb.Relation) -> pb.Relation:
        match node.WhichOneof("rel_type"):
            case "relation_changes":
                return _changes(node)
            case "sql" if may_stream(node.sql.query, context.views):
                return _lift(node, context)
            case "with_relations" if node.with_relations.root.WhichOneof("rel_type") == "with_relations":
                return _flatten(node)
            case _:
                return node

    return transform(relation, change)


def _lift(node: pb.Relation, context: Context) -> pb.Relation:
    """Move the streams and views that the text reads into relations beside it."""
    references: list[pb.Relation] = []
    edits: list[Edit] = []
    text = node.sql.query
    for function in function_references(text):
        call = text[slice(*function.call)]
        if function.name not in READ_FUNCTIONS:
            edits.append(Edit(function.start, function.end, call))  # a batch, though it is marked, as in Spark
            continue
        read = relation_of(function.name, arguments(function.name, call), streaming=function.streaming)
        reference = context.new_reference(_marked(read, function.watermark))
        alias = "" if function.aliased else f" AS {function.name}"
        edits.append(Edit(function.start, function.end, reference.subquery_alias.alias + alias))
        references.append(reference)
    for table in table_references(text):
        if not (table.streaming or table.watermark or table.changes or find_view(context, table.parts) is not None):
            continue
        reference = context.new_reference(_read(table))
        alias = "" if table.aliased else f" AS {quote_if_needed(table.parts[-1])}"
        edits.append(Edit(table.start, table.end, reference.subquery_alias.alias + alias))
        references.append(reference)
    if not edits:
        return node
    node.sql.query = splice(text, edits)
    return pb.Relation(with_relations=pb.WithRelations(root=node, references=references))


def _read(table: TableReference) -> pb.Relation:
    """The relation that a reference stands for, its watermark included."""
    read = pb.Relation()
    read.read.is_streaming = table.streaming
    read.read.named_table.unparsed_identifier = ".".join(quote_if_needed(part) for part in table.parts)
    read.read.named_table.options.update(table.options)
    return _marked(read, table.watermark)


def _marked(read: pb.Relation, watermark: Watermark | None) -> pb.Relation:
    """A relation with its watermark, if it has one."""
    if watermark is None:
        return read
    marked = pb.Relation()
    if watermark.name is None:
        marked.with_watermark.input.CopyFrom(read)
    else:
        project = marked.with_watermark.input.project
        project.input.CopyFrom(read)
        project.expressions.add().unresolved_star.SetInParent()
        alias = project.expressions.add().alias
        alias.name.append(watermark.name)
        alias.expr.expression_string.expression = watermark.expression
    marked.with_watermark.event_time = watermark.name or watermark.expression
    marked.with_watermark.delay_threshold = watermark.delay
    return marked


def _changes(node: pb.Relation) -> pb.Relation:
    """`spark.read.changes(…)` as the read of a change feed."""
    changes = node.relation_changes
    read = pb.Relation(read=pb.Read(is_streaming=changes.is_streaming))
    if node.HasField("common"):
        read.common.CopyFrom(node.common)
    read.read.named_table.unparsed_identifier = changes.unparsed_identifier
    read.read.named_table.options.update({**checked(changes.options), "readChangeFeed": "true"})
    return read


def _flatten(node: pb.Relation) -> pb.Relation:
    """One WithRelations in place of two that stand directly above each other."""
    inner = node.with_relations.root.with_relations
    merged = pb.Relation()
    merged.CopyFrom(node)
    merged.with_relations.root.CopyFrom(inner.root)
    merged.with_relations.references.extend(inner.references)
    return merged
