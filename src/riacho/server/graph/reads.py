"""The tables and views that a relation reads by name, and how to put something else in their place.

A name can stand in a DataFrame plan (`Read.named_table`, batch or stream) or in SQL text. In SQL text a relation cannot
stand, so the text gets a new name for each replaced read, and `WithRelations` says what that name is: the same message
that a client sends for `spark.sql("… {df} …", df=df)`. Streams in SQL text are lifted out of it by `plan` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from riacho.protos import pb
from riacho.server.graph import names
from riacho.server.graph.names import Identifier
from riacho.server.plan.context import Context
from riacho.server.plan.rules.sql_streams import sql_streams
from riacho.server.plan.walk import transform, walk
from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Edit, identifier, splice, tokenize

_FIRST_PLAN_ID = 1 << 40
"""Clients number the nodes of their plans from 0; the nodes made here count from above all of theirs."""

_REFERENCE = "__riacho_read_"
_PATH_FORMATS = frozenset({"parquet", "json", "csv", "text", "orc", "avro", "delta", "binaryfile", "xml", "arrow"})
"""First parts of names that mean files: ``SELECT * FROM parquet.`/data/events` ``."""


@dataclass(frozen=True)
class Read:
    """One name that a relation reads, as the user wrote it."""

    name: Identifier
    streaming: bool
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def of_changes(self) -> bool:
        """Whether the table's change feed is read."""
        flags = {key.lower(): value for key, value in self.options.items()}
        return any(flags.get(name, "").lower() == "true" for name in ("readchangefeed", "readchangedata"))


Substitute = Callable[[Read], pb.Relation | Identifier]
"""What stands in place of a read: a relation, or the full name of a table that the engine knows."""


def reads(relation: pb.Relation) -> list[Read]:
    """All reads by name, in plan order, those in SQL text included. Raises PARSE_SYNTAX_ERROR for a wrong query."""
    found = []
    for node in walk(_named(relation)):
        if _is_named_read(node):
            found.append(_read_of(node))
        elif _is_sql(node):
            found.extend(Read(Identifier(table.parts), streaming=False) for table in _text_reads(node))
    return found


def substitute(relation: pb.Relation, choose: Substitute) -> pb.Relation:
    """A copy of `relation` with each read by name replaced by what `choose` says."""
    plan_ids = count(_FIRST_PLAN_ID)

    def change(node: pb.Relation) -> pb.Relation:
        if _is_named_read(node):
            return _replace_named(node, choose(_read_of(node)), plan_ids)
        if _is_sql(node):
            return _replace_in_text(node, choose, plan_ids)
        return node

    return transform(_named(relation), change)


def is_path(name: Identifier) -> bool:
    """Whether a name means files: ``parquet.`/data/events` ``."""
    return len(name.parts) == 2 and name.parts[0].lower() in _PATH_FORMATS


def aliased(relation: pb.Relation, name: Identifier) -> pb.Relation:
    """`relation` under the alias `name`: `table.column` and `catalog.database.table.column` mean its columns."""
    alias = pb.SubqueryAlias(input=relation, alias=name.name, qualifier=list(name.qualifier))
    return pb.Relation(subquery_alias=alias)


def table_read(name: Identifier, *, streaming: bool, options: Mapping[str, str]) -> pb.Relation:
    """A read of a table of the catalog."""
    table = pb.Read.NamedTable(unparsed_identifier=name.quoted, options=dict(options))
    return pb.Relation(read=pb.Read(named_table=table, is_streaming=streaming))


def _is_named_read(node: pb.Relation) -> bool:
    return node.WhichOneof("rel_type") == "read" and node.read.HasField("named_table")


def _read_of(node: pb.Relation) -> Read:
    table = node.read.named_table
    return Read(names.parse(table.unparsed_identifier), node.read.is_streaming, dict(table.options))


def _replace_named(node: pb.Relation, chosen: pb.Relation | Identifier, plan_ids: Iterator[int]) -> pb.Relation:
    if isinstance(chosen, Identifier):
        node.read.named_table.unparsed_identifier = chosen.quoted
        return node
    replaced = _numbered(chosen, plan_ids)
    if node.HasField("common"):
        replaced.common.CopyFrom(node.common)  # columns taken from the user's DataFrame name it by this id
    return replaced


def _numbered(relation: pb.Relation, plan_ids: Iterator[int]) -> pb.Relation:
    """A copy in which streaming reads have ids of their own: two reads of one table are two sources, as in Spark."""

    def change(node: pb.Relation) -> pb.Relation:
        if _is_named_read(node) and node.read.is_streaming:
            node.common.plan_id = next(plan_ids)
        return node

    return transform(relation, change)


def _named(relation: pb.Relation) -> pb.Relation:
    """A copy in which each SQL text reads no stream and stands below a `WithRelations`, perhaps without references."""

    def wrap(node: pb.Relation) -> pb.Relation:
        if node.WhichOneof("rel_type") == "sql":
            return pb.Relation(common=node.common, with_relations=pb.WithRelations(root=node))
        if node.WhichOneof("rel_type") == "with_relations" and _is_sql(node.with_relations.root):
            node.with_relations.root.CopyFrom(node.with_relations.root.with_relations.root)
        return node

    return transform(sql_streams(relation, Context()), wrap)


def _is_sql(node: pb.Relation) -> bool:
    return node.WhichOneof("rel_type") == "with_relations" and node.with_relations.root.WhichOneof("rel_type") == "sql"


def _text_reads(node: pb.Relation) -> list[TableReference]:
    """The tables that the text below `node` reads; not the relations beside it, and no files named by their path."""
    beside = {reference.subquery_alias.alias.casefold() for reference in node.with_relations.references}
    return [
        table
        for table in table_references(node.with_relations.root.sql.query)
        if not (len(table.parts) == 1 and table.parts[0].casefold() in beside) and not is_path(Identifier(table.parts))
    ]


def _replace_in_text(node: pb.Relation, choose: Substitute, plan_ids: Iterator[int]) -> pb.Relation:
    beside = node.with_relations
    text = beside.root.sql.query
    edits: list[Edit] = []
    for table in _text_reads(node):
        chosen = choose(Read(Identifier(table.parts), streaming=False))
        if isinstance(chosen, Identifier):
            edits.append(Edit(table.start, table.end, chosen.quoted))
            continue
        name = f"{_REFERENCE}{len(beside.references)}"
        beside.references.append(
            pb.Relation(subquery_alias=pb.SubqueryAlias(input=_numbered(chosen, plan_ids), alias=name))
        )
        edits.append(Edit(table.start, table.end, name if table.aliased else f"{name} AS {_alias(table)}"))
        if not table.aliased:
            edits += _qualifiers(text, table, _full_name(chosen) or table.parts)
    beside.root.sql.query = splice(text, list(dict.fromkeys(edits)))
    for reference in beside.references:
        if not reference.common.HasField("plan_id"):
            reference.common.plan_id = next(plan_ids)  # the engine knows references by it
    return node


def _alias(table: TableReference) -> str:
    """The table's own name, always quoted: the engine takes more words for its own than Spark does."""
    return Identifier(table.parts[-1:]).quoted


def _full_name(relation: pb.Relation) -> tuple[str, ...]:
    """The name under which `aliased` put a relation; no parts for other relations."""
    alias = relation.subquery_alias
    return (*alias.qualifier, alias.alias) if relation.HasField("subquery_alias") else ()


def _qualifiers(text: str, table: TableReference, full_name: tuple[str, ...]) -> Iterator[Edit]:
    """Edits that shorten `database.table.column` to `table.column`: what stands for the table now has no database."""
    tokens = tokenize(text)
    at = 0
    while at < len(tokens):
        parts, behind = identifier(tokens, at)
        behind = max(behind, at + 1)
        star = behind + 1 < len(tokens) and tokens[behind].is_symbol(".") and tokens[behind + 1].is_symbol("*")
        names_table = parts if star else parts[:-1]
        inside_table = table.start <= tokens[at].start < table.end
        for length in range(len(full_name), 1, -1):
            if names_table[:length] == full_name[-length:] and not inside_table:
                yield Edit(tokens[at].start, tokens[at + 2 * (length - 1)].start, "")
                break
        at = behind


def qualify_text(query: str, full_name: Callable[[Identifier], Identifier]) -> str:
    """`query` with the name of each table it reads written in full, so that it means the same in any session."""
    node = pb.Relation(with_relations=pb.WithRelations(root=pb.Relation(sql=pb.SQL(query=query))))
    return splice(
        query,
        [
            Edit(table.start, table.end, full_name(Identifier(table.parts)).quoted)
            for table in _text_reads(node)
            if not table.streaming
        ],
    )
