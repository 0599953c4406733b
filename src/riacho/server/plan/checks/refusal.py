"""How Spark words the refusal of a plan."""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.plan.text import outline


def refuse(text: str, node: pb.Relation) -> AnalysisError:
    """The error that Spark raises for a plan it cannot run: the text, and the plan at fault behind it."""
    return AnalysisError(f"{text};\n{outline(node)}\n", condition="_LEGACY_ERROR_TEMP_3102", parameters={"msg": text})
