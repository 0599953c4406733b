"""Where the schemas of a pipeline's `cloudFiles` sources are kept, if the pipeline does not say.

    <storage>/_schemas/<catalog>/<database>/<table>/<flow>/<N>/

N counts the sources of the flow. What the source finds there is as in any other schema location.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.graph.elements import Flow
from riacho.server.plan.context import Context
from riacho.server.plan.facts import is_streaming_leaf, leaf_identity
from riacho.server.plan.rules.sql_streams import sql_streams
from riacho.server.plan.walk import transform, walk
from riacho.storage import Place

SCHEMAS = "_schemas"
_OPTIONS = frozenset({"cloudfiles.schemalocation", "schemalocation"})


def with_schema_locations(flow: Flow, root: Place) -> Flow:
    """`flow` with a place below the storage `root` for the schema of each source that needs one and names none."""
    try:
        relation = sql_streams(flow.relation, Context())  # a source may stand in SQL text
    except SparkError:
        return flow  # what is wrong with the text is told when the flow is resolved
    if not any(_needs_location(node) for node in walk(relation)):
        return flow
    folder = root / SCHEMAS / PurePosixPath(*flow.target.parts) / flow.identifier.name
    numbers: dict[bytes, int] = {}

    def located(node: pb.Relation) -> pb.Relation:
        if _needs_location(node):
            number = numbers.setdefault(leaf_identity(node), len(numbers))
            node.read.data_source.options["cloudFiles.schemaLocation"] = str(folder / str(number))
        return node

    return replace(flow, relation=transform(relation, located))


def _needs_location(node: pb.Relation) -> bool:
    if not is_streaming_leaf(node) or node.WhichOneof("rel_type") != "read" or not node.read.HasField("data_source"):
        return False
    source = node.read.data_source
    return (
        source.format.lower() == "cloudfiles"
        and not source.schema
        and not _OPTIONS.intersection(name.lower() for name in source.options)
    )
