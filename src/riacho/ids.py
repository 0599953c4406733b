"""Identities that must not be mixed up, each with a type of its own."""

from __future__ import annotations

from typing import NewType
from uuid import uuid4

QueryId = NewType("QueryId", str)
"""One streaming query for the life of its checkpoint (kept in `<checkpoint>/metadata`)."""

RunId = NewType("RunId", str)
"""One start of a streaming query; new at each restart."""

BatchId = NewType("BatchId", int)
"""The number of a micro-batch, from 0, dense, per checkpoint."""

SessionId = NewType("SessionId", str)
"""A Spark Connect session, chosen by the client."""

OperationId = NewType("OperationId", str)
"""One ExecutePlan call, chosen by the client when it may reattach."""

Offset = NewType("Offset", str)
"""A position in a source: JSON text, exactly as it stands in the checkpoint's offset log."""


def new_uuid() -> str:
    """A fresh random UUID in the text form that Spark's logs and protocol use."""
    return str(uuid4())
