"""Expressions that are prepared once and then stand in plans that are made anew for each batch."""

from __future__ import annotations

import pyarrow as pa

from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import empty
from riacho.server.plan import build


def prepared_value(session: EngineSession, schema: pa.Schema, value: pb.Expression) -> pb.Expression:
    """`value`, an expression under a name, over rows of `schema`, as the engine is to have it. Raises SparkError."""
    return session.prepared(build.project(empty(schema), [value]), rows=False).project.expressions[0]
