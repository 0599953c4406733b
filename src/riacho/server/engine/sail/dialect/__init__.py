r"""Rewrites Spark's SQL into the engine's where both accept the same text and mean different things by it.

    before                                  after
    Project string(ts), 'it''s'             Project CAST(ts AS STRING) AS `string(ts)`, 'it\'s'

The engine speaks Spark's SQL, but silently gives different results for some of it. What can be expressed in another way
is rewritten here; what cannot is refused; what cannot be decided without the types of columns remains a difference,
listed in docs/compatibility.md. Rewriting a plan twice is harmless.

    functions   the table: the name of a function → the expression that replaces it
    groups      grouping keys that are qualified with the DataFrame that has them
    branches    CASE and similar, whose type is the common type of all branches
    lambdas     functions over the elements of a list
    java_regex  patterns and replacements
    statistics  the row order of `describe`
    tree, text  apply the table to plans and to SQL text
"""

from riacho.server.engine.sail.dialect.groups import keys_of_groups
from riacho.server.engine.sail.dialect.text import in_engine_words as text_in_engine_words
from riacho.server.engine.sail.dialect.tree import in_engine_words

__all__ = ["in_engine_words", "keys_of_groups", "text_in_engine_words"]
