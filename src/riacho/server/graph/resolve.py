"""Find out what each flow reads, what columns it gives, and in which order flows can be worked out.

While a pipeline is resolved no table of it is read: each is stood for by an empty relation with the columns that its
flows give it (or that were declared). So a flow is resolved when all it reads is, and the order comes out by itself;
what never gets its turn is part of a cycle, or reads something that failed.

Reads of other tables are left to the engine, under their full name. Source: Spark's `FlowAnalysis`,
`CoreDataflowNodeProcessor`, `SchemaInferenceUtils`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from riacho import types
from riacho.conf import CASE_SENSITIVE, VIEW_CHECK
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.delta.feed import feed_schema
from riacho.server.engine.spool import empty
from riacho.server.graph import expectations, failures, reads, schemas
from riacho.server.graph.cdc.definition import METADATA, SEQUENCE, AutoCdc, CdcFlow, ScdType, resolved
from riacho.server.graph.cdc.strategies import strategy_of
from riacho.server.graph.elements import Flow, PipelineTable
from riacho.server.graph.graph import PipelineDefinition
from riacho.server.graph.names import Identifier
from riacho.server.graph.reads import Read
from riacho.server.plan.facts import is_streaming
from riacho.server.streaming.quality import Expectation
from riacho.server.streaming.sifting import aside_schema
from riacho.server.streaming.sources.empty import leaf as empty_stream

Analyze = Callable[[pb.Relation, Mapping[str, str]], pa.Schema]
"""The columns that a relation gives under these confs."""


@dataclass(frozen=True)
class ResolvedFlow:
    """A flow that is understood. `conf` includes that of the views it reads; `inputs` are names of the pipeline.

    `schema`: the columns that its target gets from it. `expectations`: the rules that its rows are to keep. `cdc`: an
    AUTO CDC flow over its source.
    """

    flow: Flow
    schema: pa.Schema
    streaming: bool
    inputs: tuple[Identifier, ...]
    conf: Mapping[str, str]
    expectations: tuple[Expectation, ...] = ()
    cdc: CdcFlow | None = None

    @property
    def identifier(self) -> Identifier:
        return self.flow.identifier

    @property
    def appends(self) -> bool:
        """Whether it runs as a streaming query, with a checkpoint: it streams, or is a batch to be written once."""
        return self.streaming or self.flow.once

    @property
    def target(self) -> Identifier:
        return self.flow.target


@dataclass(frozen=True)
class Unresolved:
    """A flow that could not be resolved, why, and what it wanted to read of the pipeline."""

    flow: Flow
    error: SparkError
    inputs: tuple[Identifier, ...]


@dataclass(frozen=True)
class Resolution:
    """The outcome. `flows` stand in an order in which each comes after those it reads from."""

    definition: PipelineDefinition
    flows: Mapping[Identifier, ResolvedFlow]
    unresolved: Mapping[Identifier, Unresolved] = field(default_factory=dict)

    def flows_to(self, target: Identifier) -> list[ResolvedFlow]:
        """The resolved flows that write to an output."""
        return [
            self.flows[flow.identifier] for flow in self.definition.flows_to(target) if flow.identifier in self.flows
        ]

    def schema_of(self, table: PipelineTable) -> pa.Schema:
        """The columns of a table. Raises what `infer_schema` raises."""
        return infer_schema(table, self.flows_to(table.identifier))

    def declared_schema_of(self, table: PipelineTable) -> pa.Schema | None:
        """The columns that were declared for a table, if any were; see `declared_schema`."""
        return declared_schema(table, self.flows_to(table.identifier))

    def executable(self, flow: ResolvedFlow) -> pb.Relation:
        """The flow's query as it runs: tables of the pipeline are read from the catalog, its views are written out."""
        relation = self._executable(flow.flow)
        return relation if flow.cdc is None else flow.cdc.events(relation)

    def _executable(self, flow: Flow) -> pb.Relation:
        def choose(read: Read) -> pb.Relation | Identifier:
            name = find(read, flow, self.definition)
            if self.definition.is_view(name) and name in self.definition.flows:
                return reads.aliased(self._view(self.definition.flows[name]), name)
            if read.streaming and name in self.definition.inputs:
                return reads.aliased(reads.table_read(name, streaming=True, options=read.options), name)
            return name

        return reads.substitute(flow.relation, choose)

    def _view(self, flow: Flow) -> pb.Relation:
        """The query of a view with its rules, which have no sink to see to them."""
        resolved = self.flows[flow.identifier]
        relation = self._executable(flow)
        if not resolved.expectations:
            return relation
        return expectations.kept(relation, resolved.expectations, str(flow.target), observed=resolved.streaming)


def resolve(definition: PipelineDefinition, analyze: Analyze, session_conf: Callable[[str], str | None]) -> Resolution:
    """Resolve all flows of a pipeline. Nothing is raised: what went wrong is in `Resolution.unresolved`."""
    return _Resolver(definition, analyze, session_conf).run()


def find(read: Read, flow: Flow, definition: PipelineDefinition) -> Identifier:
    """The name that is meant: a view or sink of one part, else the full name; a path stays as it is.

    A name in the pipeline is recognised by being one of `definition.inputs`.
    """
    if (read.name.is_single and read.name in definition.inputs) or reads.is_path(read.name):
        return read.name
    return flow.scope.qualify(read.name)


def declared_schema(table: PipelineTable, flows: list[ResolvedFlow]) -> pa.Schema | None:
    """The columns that were declared for a table, if any were.

    What AUTO CDC keeps for itself in a table of SCD type 2 need not be among them; it is in Spark from 4.3 on too. (Of
    a table of type 1, Spark 4.2 wants to have it declared.)
    """
    if table.schema is None or METADATA in table.schema.names:
        return table.schema
    own = [flow for flow in flows if flow.cdc is not None and flow.cdc.stored_as is ScdType.TYPE_2]
    return table.schema.append(own[0].schema.field(METADATA).with_nullable(True)) if own else table.schema


def infer_schema(table: PipelineTable, flows: list[ResolvedFlow]) -> pa.Schema:
    """The columns of a table: declared ones first, then those that its flows give.

    Raises CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE if flows contradict each other, and if they contradict the declaration
    USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE.
    """
    inferred = schemas.merge_all(flow.schema for flow in flows)
    if table.quarantine_of is not None:
        return aside_schema(inferred)
    declared = declared_schema(table, flows)
    if declared is None:
        return inferred
    try:
        return schemas.merge(declared, inferred)
    except SparkError:
        raise failures.schema_not_compatible(
            table.identifier, streaming=table.is_streaming, declared=declared, inferred=inferred
        ) from None


class _Resolver:
    def __init__(
        self, definition: PipelineDefinition, analyze: Analyze, session_conf: Callable[[str], str | None]
    ) -> None:
        self._definition = definition
        self._analyze = analyze
        self._session_conf = session_conf
        self._inputs: dict[Identifier, tuple[Identifier, ...]] = {}
        self._resolved: dict[Identifier, ResolvedFlow] = {}
        self._failed: dict[Identifier, Unresolved] = {}

    def run(self) -> Resolution:
        waiting = {flow.identifier: flow for flow in self._definition.flows.values() if self._is_readable(flow)}
        progress = True
        while progress:
            progress = False
            for name, flow in list(waiting.items()):
                if self._first_missing(flow) is None:
                    del waiting[name]
                    self._attempt(flow)
                    progress = True
        for name, flow in waiting.items():
            missing = self._first_missing(flow)
            assert missing is not None, "what misses nothing was attempted"
            self._failed[name] = Unresolved(flow, failures.unresolved_dataset(missing), self._inputs[flow.identifier])
        return Resolution(self._definition, self._resolved, self._failed)

    def _is_readable(self, flow: Flow) -> bool:
        """Learn what a flow reads of the pipeline; False if its SQL text is wrong."""
        try:
            names = [find(read, flow, self._definition) for read in reads.reads(flow.relation)]
        except SparkError as error:
            self._failed[flow.identifier] = Unresolved(flow, error, inputs=())
            return False
        self._inputs[flow.identifier] = tuple(dict.fromkeys(name for name in names if name in self._definition.inputs))
        return True

    def _attempt(self, flow: Flow) -> None:
        try:
            found = self._resolve(flow)
        except SparkError as error:
            self._failed[flow.identifier] = Unresolved(flow, error, self._inputs[flow.identifier])
        else:
            self._resolved[flow.identifier] = found if flow.cdc is None else self._changes(found, flow.cdc)

    def _changes(self, source: ResolvedFlow, definition: AutoCdc) -> ResolvedFlow:
        """An AUTO CDC flow, given what its source is. What is wrong with it ends the run, as in Spark."""
        given = source.conf.get(CASE_SENSITIVE.key)
        sensitive = CASE_SENSITIVE.read(self._session_conf) if given is None else CASE_SENSITIVE.parse(given)
        flow = resolved(definition, source.schema, case_sensitive=sensitive)
        name = find(Read(definition.source, streaming=True), source.flow, self._definition)
        events = self._analyze(flow.events(reads.aliased(empty(source.schema), name)), source.conf)
        flow = replace(flow, sequence=events.field(SEQUENCE).type)
        schema = strategy_of(flow).target_schema(flow)
        return replace(source, schema=types.normalise_schema(schema), cdc=flow)

    def _resolve(self, flow: Flow) -> ResolvedFlow:
        inputs = self._inputs[flow.identifier]
        conf = self._merged_conf(flow, inputs)
        streams: list[Identifier] = []

        def choose(read: Read) -> pb.Relation | Identifier:
            name = find(read, flow, self._definition)
            if name not in self._definition.inputs:
                return name
            schema, streaming = self._stand_in(name, read, conf)
            if streaming:
                streams.append(name)
            return reads.aliased(empty_stream(schema) if streaming else empty(schema), name)

        relation = reads.substitute(flow.relation, choose)
        schema = self._analyze(relation, conf)
        rules = self._definition.expectations(flow)
        if rules:
            expectations.check(rules, schema, flow.target, lambda measured: self._analyze(measured, conf))
        return ResolvedFlow(flow, schema, bool(streams) or is_streaming(relation), inputs, conf, rules)

    def _stand_in(self, name: Identifier, read: Read, conf: Mapping[str, str]) -> tuple[pa.Schema, bool]:
        """The columns of a dataset of the pipeline, and whether reading it like this streams."""
        table = self._definition.table(name)
        if table is not None:
            flows = [self._resolved[flow.identifier] for flow in self._definition.flows_to(name)]
            schema = infer_schema(table, flows)
            return (feed_schema(schema) if read.of_changes else schema), read.streaming
        view = self._resolved[name]
        if self._views_are_checked(conf) and read.streaming != view.streaming:
            if read.streaming:
                raise failures.batch_view_read_as_stream(name)
            raise failures.streaming_view_read_as_batch(name)
        return view.schema, view.streaming

    def _views_are_checked(self, conf: Mapping[str, str]) -> bool:
        value = conf.get(VIEW_CHECK.key) or self._session_conf(VIEW_CHECK.key) or "true"
        return value.strip().lower() != "false"

    def _first_missing(self, flow: Flow) -> Identifier | None:
        return next((name for name in self._inputs[flow.identifier] if not self._is_available(name)), None)

    def _is_available(self, name: Identifier) -> bool:
        """Whether a dataset is resolved. A named flow never is: no dataset, though Spark takes its name for one."""
        flows = self._definition.flows_to(name)
        return bool(flows) and all(flow.identifier in self._resolved for flow in flows)

    def _merged_conf(self, flow: Flow, inputs: tuple[Identifier, ...]) -> dict[str, str]:
        """The flow's confs and those of the views it reads, which run as part of it.

        Raises DUPLICATE_FLOW_SQL_CONF if two of them want different values for one key.
        """
        views = [self._definition.flows[name] for name in inputs if self._definition.is_view(name)]
        wanted: dict[str, dict[str, Identifier]] = {}
        for source in (flow, *views):
            for key, value in source.conf.items():
                wanted.setdefault(key, {}).setdefault(value, source.identifier)
        for key, by_value in wanted.items():
            if len(by_value) > 1:
                ordered = sorted(by_value)
                raise failures.conflicting_conf(flow.identifier, key, by_value[ordered[0]], by_value[ordered[-1]])
        return {key: next(iter(by_value)) for key, by_value in wanted.items()}
