"""From the plan a client sends to a streaming plan with its sources known.

client's relation ──RESOLVE──► what it reads shows ──sources──► ──PREPARE──► PlannedStream
├─ empty(): what analysis asks the engine about
└─ template: what each batch binds its rows to
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import empty
from riacho.server.plan.context import Context
from riacho.server.plan.facts import is_streaming, leaf_identity, leaf_places, leaves
from riacho.server.plan.mentions import Names
from riacho.server.plan.rewrite import PREPARE, RESOLVE, Template, rewrite
from riacho.server.plan.rules.all_keys import all_keys
from riacho.server.plan.usage import columns_used
from riacho.server.plan.walk import walk
from riacho.server.streaming.definition import SourceUse
from riacho.server.streaming.sources.base import Source, batch_schema
from riacho.server.streaming.watermark import delay_ms

MakeSource = Callable[[pb.Relation], Source]
"""Makes the source of a streaming leaf. Raises SparkError for a format, table or option that there is not."""


@dataclass(frozen=True)
class PlannedStream:
    """A streaming plan, resolved and prepared.

    `resolved` shows what it reads, with watermarks still in it: what checks look at. `template` is what each batch
    binds its rows to; `sources` stand in the order of its leaves. `context` holds what the rules found out.
    """

    resolved: pb.Relation
    template: Template
    sources: Sequence[SourceUse]
    context: Context

    def empty(self) -> pb.Relation:
        """The plan as a batch plan over leaves without rows: it has the stream's columns and can be analysed."""
        leaves = (empty(batch_schema(use.source, with_metadata=use.with_metadata)) for use in self.sources)
        return self.template.bind(dict(enumerate(leaves)))

    def pruned_sources(self) -> Sequence[SourceUse]:
        """The sources, told which of their columns this plan has no use for."""
        used = columns_used(self.resolved)
        perhaps = [Names() for _ in self.sources]
        for path, leaf in leaf_places(self.resolved):
            perhaps[leaf.index] |= used[path].perhaps
        return [
            replace(use, unused=frozenset(name for name in use.source.schema.names if name not in names))
            for use, names in zip(self.sources, perhaps, strict=True)
        ]


def plan_stream(
    relation: pb.Relation,
    views: Mapping[str, pb.Relation],
    make_source: MakeSource,
    session: EngineSession | None = None,
) -> PlannedStream:
    """Apply the rules, then make the sources. `views`: the session's temporary views by lower-case name.

    `session` gives expressions what their types decide; without it they stay as they are. Raises SparkError (see
    `MakeSource`), also for a watermark's delay that is none.
    """
    context = Context(views=views)
    resolved = rewrite(relation, context, RESOLVE)
    for node in walk(resolved):
        if node.WhichOneof("rel_type") == "with_watermark":
            delay_ms(node.with_watermark.delay_threshold)
    sources = {leaf_identity(leaf.relation): make_source(leaf.relation) for leaf in leaves(resolved)}
    if session is not None:
        resolved = all_keys(resolved, lambda part: session.columns(_without_rows(part, sources)))
        resolved = session.typed(resolved, lambda part: _without_rows(part, sources))
    context.has_metadata = lambda leaf: sources[leaf_identity(leaf)].has_metadata
    template = Template(rewrite(resolved, context, PREPARE), context.metadata_leaves)
    uses = [SourceUse(sources[leaf_identity(leaf.relation)], leaf.with_metadata) for leaf in template.leaves]
    return PlannedStream(resolved, template, uses, context)


def _without_rows(part: pb.Relation, sources: Mapping[bytes, Source]) -> pb.Relation:
    """A part of a plan with these sources, by the identity of their leaves, as a plan that can be analysed."""
    return plan_stream(part, {}, lambda leaf: sources[leaf_identity(leaf)]).empty() if is_streaming(part) else part
