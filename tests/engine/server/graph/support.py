"""A pipeline in a few words: SQL definitions in, a resolution out, with the real engine for the columns of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import empty
from riacho.server.graph.graph import DataflowGraph
from riacho.server.graph.resolve import Resolution, resolve
from riacho.server.graph.sql.register import register
from riacho.server.plan.rewrite import Template
from tests.unit.server.graph.support import SCOPE, SOURCE_SCHEMA


@dataclass
class Pipelines:
    """Defines and resolves pipelines. Any stream from outside of a pipeline has the columns `SOURCE_SCHEMA`."""

    session: EngineSession
    confs: dict[str, str] = field(default_factory=dict)

    def graph(self, *files: str, conf: Mapping[str, str] | None = None) -> DataflowGraph:
        graph = DataflowGraph("g", SCOPE, conf or {})
        for number, text in enumerate(files):
            register(text, file=f"f{number}.sql", graph=graph, parse_columns=self.session.parse_ddl)
        return graph

    def resolve(self, *files: str, conf: Mapping[str, str] | None = None) -> Resolution:
        return self.resolve_graph(self.graph(*files, conf=conf))

    def resolve_graph(self, graph: DataflowGraph) -> Resolution:
        return resolve(graph.definition(), self.analyze, self.confs.get)

    def analyze(self, relation: pb.Relation, conf: Mapping[str, str]) -> pa.Schema:
        template = Template(relation)
        for leaf in template.leaves:
            if "missing" in leaf.relation.read.named_table.unparsed_identifier:
                raise AnalysisError("[TABLE_OR_VIEW_NOT_FOUND] missing")
        return self.session.schema(template.bind({leaf.index: empty(SOURCE_SCHEMA) for leaf in template.leaves}))
