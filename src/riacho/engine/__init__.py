"""The batch engine behind one narrow interface: give it a relation, get Arrow back.

Nothing outside this package knows which engine it is.
"""

from riacho.engine.base import ConnectSession, Engine, EngineSession, Spool

__all__ = ["ConnectSession", "Engine", "EngineSession", "Spool"]
