"""The rules of a flow, as a replay wants them."""

from __future__ import annotations

from collections.abc import Sequence

from riacho.server.graph.resolve import ResolvedFlow
from riacho.server.streaming.quality import Expectation


def rules_of(flow: ResolvedFlow) -> Sequence[Expectation]:
    """What a flow asks of its rows now."""
    return tuple(getattr(flow.flow, "rules", ()))
