"""SQL as text: the only place that knows its syntax. There are no plans here.

    words, tokens      the lexical rules: what is a word, a string or a name; where an edit goes
    interval_literals  INTERVAL 1 HOUR, as a value
    errors             what is wrong and where, reported as Spark's parser does
    cursor             reads one statement from left to right; every reader of statements uses it
    statements, parse… statements about names and rows, as values
    scripts, heads     splits a file into statements; finds the kind of a statement
    pieces             clauses and lists of a query, by the positions of its tokens
    select_lists       the column that a token belongs to, and its alias
    references         the tables that a query reads, and where it names them
    plan_names         what Spark calls a statement

Queries are parsed only as far as necessary, because the engine parses them again. A reader of whole queries, based on
sqlglot's trees, will be added here as `queries.py`, beside `references`, working on the same text and positions: trees
are for code that only inspects a query; code that changes one keeps splicing its text.
"""
