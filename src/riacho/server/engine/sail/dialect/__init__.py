r"""Spark's words → the engine's, where both have the word and mean different things by it.

    before                                  after
    Project string(ts), 'it''s'             Project CAST(ts AS STRING) AS `string(ts)`, 'it\'s'

The engine speaks Spark's SQL, and answers some of it otherwise, without saying so. What can be asked for in other words
is put so here, what cannot is refused, and what takes the types of columns to know stays a difference, listed in
docs/compatibility.md. To change a plan twice does it no harm.

    functions   the table: a function's name → what to ask for instead
    groups      keys of a grouping, by the DataFrame that has them
    branches    CASE and its like, whose type is that of all branches
    lambdas     functions over the values of a list
    java_regex  patterns and replacements
    statistics  the order of rows of `describe`
    tree, text  put the table to use in plans and in SQL text
"""

from riacho.server.engine.sail.dialect.groups import keys_of_groups
from riacho.server.engine.sail.dialect.text import in_engine_words as text_in_engine_words
from riacho.server.engine.sail.dialect.tree import in_engine_words

__all__ = ["in_engine_words", "keys_of_groups", "text_in_engine_words"]
