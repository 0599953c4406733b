"""Run a streaming query from given parts, in this process, and crash it where a test wants it to.

engine, source, sink = FakeEngine(), ScriptedSource(schema, [{"id": 1}], [{"id": 2}]), ListSink()
definition = define(source, sink, tmp_path / "checkpoint", engine)
query = run(definition, engine, observer=CrashAfter(Step.WRITTEN, batch=1))
assert isinstance(query.failure, StreamingQueryError)
run(define(source, sink, tmp_path / "checkpoint", engine), engine)
assert sink.values("id") == [1, 2]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

from riacho.clock import Clock, SystemClock
from riacho.ids import BatchId, QueryId, SessionId
from riacho.protos import pb
from riacho.server.engine.base import Engine, EngineSession
from riacho.server.plan.facts import leaf_identity
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.execution import Execution
from riacho.server.streaming.manager import QueryManager
from riacho.server.streaming.planning import PlannedStream, plan_stream
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.query_status import Listener
from riacho.server.streaming.sinks.base import OutputMode, Sink
from riacho.server.streaming.sources.base import Source
from riacho.server.streaming.stateless import StatelessExecution
from riacho.server.streaming.trigger import AvailableNow, Trigger
from riacho.storage import Place

LIMIT_S = 30.0
OWNER = SessionId("the-tests-session")


class Crash(Exception):  # noqa: N818 - what happens, not what is wrong
    """The query is gone, in the middle of what it did."""


class CrashAfter:
    """Ends a query after a step of a batch, once; of the later steps nothing happens. `steps` are those gone by."""

    def __init__(self, step: BatchStep | None = None, batch: int = 0) -> None:
        self.steps: list[tuple[BatchStep, int]] = []
        self._at: tuple[BatchStep | None, int] | None = (step, batch)

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:  # noqa: ARG002 - one query at a time
        """Raises Crash at the step it was made for."""
        self.steps.append((step, batch_id))
        if (step, batch_id) == self._at:
            self._at = None
            raise Crash(f"after {step.value} of batch {batch_id}")


def define(
    sources: Source | Sequence[Source],
    sink: Sink,
    checkpoint: Place,
    engine: Engine,
    *,
    plan: Callable[..., pb.Relation] | None = None,
    name: str | None = None,
    trigger: Trigger | None = None,
    output_mode: OutputMode = OutputMode.APPEND,
    conf: Mapping[str, str] | None = None,
    owner: SessionId = OWNER,
    prepare: Callable[[PlannedStream, EngineSession, Place], Execution] | None = None,
) -> QueryDefinition:
    """A query without state over `sources`, to be started once.

    `plan` makes the query's relation from one leaf for each source; by default all rows of all of them. Without a
    `trigger` it takes what there is and ends. `prepare`: another execution than the stateless one.
    """
    given = list(sources) if isinstance(sources, Sequence) else [sources]
    by_leaf = {leaf_identity(leaf(index)): source for index, source in enumerate(given)}
    relation = (plan or union)(*(leaf(index) for index in range(len(given))))
    planned = plan_stream(relation, {}, lambda read: by_leaf[leaf_identity(read)])
    client = engine.session(owner, "tests")
    session = engine.clone(client, prepares=False)
    make = partial(prepare, planned, session) if prepare else lambda _: StatelessExecution(planned, session, "UTC")
    return QueryDefinition(
        owner=owner,
        name=name,
        sources=planned.sources,
        places=planned.template.places,
        schema=client.schema(planned.empty()),
        sink=sink,
        output_mode=output_mode,
        trigger=trigger or AvailableNow(),
        checkpoint=checkpoint,
        temporary=False,
        session=session,
        prepare=make,
        conf=conf or {},
    )


def run(
    definition: QueryDefinition,
    engine: Engine,
    *,
    clock: Clock | None = None,
    observer: CrashAfter | None = None,
    listener: Listener | None = None,
    limit_s: float = LIMIT_S,
) -> StreamingQuery:
    """Start a query that ends by itself and wait for its end; how it ended is for the caller to ask.

    Raises AssertionError if it has not ended in time.
    """
    query = QueryManager(engine, clock or SystemClock(), observer).start(definition, listener)
    try:
        ended = query.await_termination(limit_s)
    except Exception:  # noqa: BLE001 - the caller looks at `query.failure`
        ended = True
    assert ended, f"the query has not ended within {limit_s} s; it says: {query.status.message}"
    return query


def leaf(number: int) -> pb.Relation:
    """The streaming leaf of a plan that stands for a source."""
    relation = pb.Relation()
    relation.read.is_streaming = True
    relation.read.data_source.format = "scripted"
    relation.read.data_source.options["number"] = str(number)
    return relation


def union(*inputs: pb.Relation) -> pb.Relation:
    """The rows of all inputs."""

    def both(left: pb.Relation, right: pb.Relation) -> pb.Relation:
        relation = pb.Relation()
        relation.set_op.left_input.CopyFrom(left)
        relation.set_op.right_input.CopyFrom(right)
        relation.set_op.set_op_type = pb.SetOperation.SET_OP_TYPE_UNION
        relation.set_op.is_all = True
        return relation

    return reduce(both, inputs)
