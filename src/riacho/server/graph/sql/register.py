"""Put what a SQL definition file defines into a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.graph import elements, failures
from riacho.server.graph.cdc.definition import AutoCdc
from riacho.server.graph.expectations import wants_quarantine
from riacho.server.graph.graph import DataflowGraph
from riacho.server.graph.names import CurrentNamespace, Identifier
from riacho.server.graph.sql import statements
from riacho.server.sql.scripts import statements as split
from riacho.server.streaming.quality import Expectation

ParseColumns = Callable[[str], pa.Schema]
"""The schema of DDL text, as the engine parses it."""


def register(text: str, *, file: str, graph: DataflowGraph, parse_columns: ParseColumns) -> None:
    """Register each statement of `text` in order. What stands before a wrong one stays registered, as in Spark.

    Raises ParseError, and AnalysisError for statements that have no place in a definition file.
    """
    registration = _File(graph, parse_columns)
    for statement in split(text):
        registration.add(statements.parse(statement, file=file))


class _File:
    """One file being registered: SET and USE hold from their place to its end."""

    def __init__(self, graph: DataflowGraph, parse_columns: ParseColumns) -> None:
        self._graph = graph
        self._parse_columns = parse_columns
        self._scope = graph.scope
        self._conf: dict[str, str] = {}

    def add(self, statement: statements.Parsed) -> None:
        match statement:
            case statements.SetConf(key, value):
                self._conf[key] = value
            case statements.SetCatalog(catalog):
                self._scope = CurrentNamespace(catalog, database=None)
            case statements.UseDatabase(name):
                self._use(name)
            case statements.CreatePipelineDataset():
                self._table(statement)
            case statements.CreatePipelineView():
                self._view(statement)
            case statements.CreateFlow(name, target, query, once):
                if not name.is_single:
                    raise failures.multipart_flow_name(name)
                self._flow(self._scope.qualify(name), self._scope.qualify(target), query, once=once)
            case statements.CreateCdcFlow(name, target, changes):
                if name is not None and not name.is_single:
                    raise failures.multipart_flow_name(name)
                self._changes(self._scope.qualify(name or target), self._scope.qualify(target), changes)

    def _use(self, name: Identifier) -> None:
        if name.is_single:
            self._scope = replace(self._scope, database=name.name)
        else:
            catalog, database = self._scope.qualify(Identifier((*name.parts, ""))).parts[:2]
            self._scope = CurrentNamespace(catalog, database)

    def _table(self, statement: statements.CreatePipelineDataset) -> None:
        name = self._scope.qualify(statement.name)
        self._graph.add_output(
            elements.PipelineTable(
                identifier=name,
                kind=statement.kind,
                schema=self._parse_columns(statement.columns) if statement.columns else None,
                format=statement.format,
                partition_by=statement.partition_by,
                cluster_by=statement.cluster_by,
                comment=statement.comment,
                properties=statement.properties,
                expectations=statement.expectations,
            )
        )
        if statement.query is not None:
            self._flow(name, name, statement.query)
        if statement.changes is not None:
            self._changes(name, name, statement.changes)

    def _view(self, statement: statements.CreatePipelineView) -> None:
        if statement.expectations and not statement.temporary:
            raise UnsupportedOperationError(
                f"The view {statement.name} has expectations, but nothing runs it: it is read by whoever wants to. "
                "Make it a materialized view or a temporary one."
            )
        if wants_quarantine(statement.expectations):
            raise UnsupportedOperationError(
                f"The temporary view {statement.name} cannot quarantine rows, as it has no place for them. Let the "
                "tables that read it do so."
            )
        if statement.temporary:
            name = statement.name
            self._graph.add_output(elements.TemporaryView(name, statement.comment))
        else:
            name = self._scope.qualify(statement.name)
            self._graph.add_output(elements.PersistedView(name, statement.query, self._scope, statement.comment))
        self._flow(name, name, statement.query, rules=statement.expectations)

    def _flow(
        self,
        name: Identifier,
        target: Identifier,
        query: str,
        *,
        once: bool = False,
        rules: tuple[Expectation, ...] = (),
    ) -> None:
        relation = pb.Relation(sql=pb.SQL(query=query))
        self._graph.add_flow(elements.Flow(name, target, relation, self._scope, dict(self._conf), once, rules))

    def _changes(self, name: Identifier, target: Identifier, changes: AutoCdc) -> None:
        conf = dict(self._conf)
        self._graph.add_flow(
            elements.Flow(name, target, changes.source_read, self._scope, conf, changes.once, cdc=changes)
        )
