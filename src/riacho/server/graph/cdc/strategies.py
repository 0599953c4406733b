"""The SCD types by their number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from riacho.server.graph.cdc.changes import Strategy
from riacho.server.graph.cdc.definition import ScdType
from riacho.server.graph.cdc.scd1 import Scd1

STRATEGIES: Final[Mapping[ScdType, Strategy]] = {ScdType.TYPE_1: Scd1()}
