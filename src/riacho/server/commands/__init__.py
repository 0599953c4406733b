"""SQL about names: what the catalog answers in place of the engine.

`parse` tells whether a text is such a statement, `run` does it.
"""

from riacho.server.commands.context import SqlContext
from riacho.server.commands.run import run
from riacho.server.sql.parse import parse
from riacho.server.sql.statements import Statement

__all__ = ["SqlContext", "Statement", "parse", "run"]
