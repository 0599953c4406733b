"""SQL about names: what the catalog answers in place of the engine.

`parse` tells whether a text is such a statement, `run` does it.
"""

from riacho.catalog.sql.context import SqlContext
from riacho.catalog.sql.parse import parse
from riacho.catalog.sql.run import run
from riacho.catalog.sql.statements import Statement

__all__ = ["SqlContext", "Statement", "parse", "run"]
