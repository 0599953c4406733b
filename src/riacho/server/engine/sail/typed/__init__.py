"""Types: they determine what an expression means in Spark's ANSI mode, and the engine follows different rules.

    before                                   after
    Project s * 0.5        (s: STRING)       Project CAST(s AS DOUBLE) * 0.5
    Project i + 1          (i: INT)          Project coalesce(try_add(i, 1), if(isnull(i + 1), NULL, raise_error(…)))

The engine is asked for the columns of a node's input (which takes a millisecond, and happens once per batch plan and
once in the life of a stream), and the types of the expressions above follow from them.

    coercion       the common type of several types; decimals
    rules          the table: a function → what replaces it, given the types of its arguments
    arithmetic     the rules of operators
    unions         the rules of UNION, EXCEPT and INTERSECT
    expressions    the types of a plan's expressions
    syntax, text   the types of SQL expressions
    plans, queries apply the rules to plans and to SQL queries
"""

from riacho.server.engine.sail.typed.plans import typed_plan

__all__ = ["typed_plan"]
