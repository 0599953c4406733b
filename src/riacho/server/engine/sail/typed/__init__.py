"""Types: what Spark's ANSI mode makes of an expression depends on them, and the engine goes other ways.

    before                                   after
    Project s * 0.5        (s: STRING)       Project CAST(s AS DOUBLE) * 0.5
    Project i + 1          (i: INT)          Project coalesce(try_add(i, 1), if(isnull(i + 1), NULL, raise_error(…)))

The columns of a node's input are asked of the engine (a millisecond; a batch plan once, a stream once for its life),
and the types of the expressions above follow from them.

    coercion       the types that types have in common; decimals
    rules          the table: a function → what to ask for instead, given the types of its arguments
    arithmetic     the rules of operators
    unions         the rules of UNION and its kin
    expressions    the types of a plan's expressions
    syntax, text   those of SQL expressions
    plans, queries put the rules to use in plans and in SQL queries
"""

from riacho.server.engine.sail.typed.plans import typed_plan

__all__ = ["typed_plan"]
