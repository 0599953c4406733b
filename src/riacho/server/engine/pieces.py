"""Expressions that are prepared once and then stand in plans that are made anew for each batch."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import empty
from riacho.server.plan import build


def prepared_columns(
    session: EngineSession, schema: pa.Schema, columns: Sequence[pb.Expression]
) -> Sequence[pb.Expression]:
    """`columns`, over rows of `schema`, as the engine is to have them. Raises SparkError."""
    return list(session.prepared(build.project(empty(schema), columns), rows=False).project.expressions)
