"""DELETE, UPDATE, MERGE and `replaceWhere` on Delta tables, all in one way.

The engine says which rows are meant and what becomes of them, by Spark's rules; riacho writes the files and the commit.
Nobody else commits to the log on its behalf: the engine and delta-rs name some files otherwise than whoever added them,
and a file that is removed under another name stays in the table.

1. `scan`: the rows of the table go to the engine, with a number each and no more columns than the condition uses. What
   comes back are the numbers of the rows that are meant.
2. `assign`, `constraints`: those rows alone go to the engine, which computes their new values and checks them.
3. `rewrite`: the other rows of the files that hold them are copied without passing the engine, into new files.
4. `job`: the commit; if somebody changed what it rests on meanwhile, all begins again.
"""

from __future__ import annotations

from riacho.server.catalog.row_changes.change import delete, replace_where, update
from riacho.server.catalog.row_changes.job import Counts, Runner
from riacho.server.catalog.row_changes.merge import Clause, Merging, merge
from riacho.server.catalog.row_changes.scope import Assignment, TableScope, expression

__all__ = [
    "Assignment",
    "Clause",
    "Counts",
    "Merging",
    "Runner",
    "TableScope",
    "delete",
    "expression",
    "merge",
    "replace_where",
    "update",
]
