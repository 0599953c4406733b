"""The schema that a client gave to a reader."""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.server.engine.base import EngineSession


def given_schema(text: str, session: EngineSession) -> pa.Schema | None:
    """The schema of JSON or DDL text; None if there is none. Raises ParseError, UNSUPPORTED_DATATYPE."""
    if not text:
        return None
    return types.from_json(text) if text.lstrip().startswith("{") else session.parse_ddl(text)
