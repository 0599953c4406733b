"""Which SCD type does what a flow asks for."""

from __future__ import annotations

from riacho.server.graph.cdc.changes import Strategy
from riacho.server.graph.cdc.definition import CdcFlow, ScdType
from riacho.server.graph.cdc.scd1 import Scd1
from riacho.server.graph.cdc.scd1_leaves import Scd1Leaves
from riacho.server.graph.cdc.scd2 import Scd2


def strategy_of(flow: CdcFlow) -> Strategy:
    """Spark's own way for what Spark 4.2 has, and others for the rest."""
    definition = flow.definition
    if flow.stored_as is ScdType.TYPE_2:
        return Scd2()
    if definition.ignore_nulls is not None or definition.apply_as_truncates is not None:
        return Scd1Leaves()
    return Scd1()
