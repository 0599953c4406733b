"""SQL as text: the one place that knows how it is written. No plans here.

    words, tokens      the lexical rules: what is a word, a string, a name; where an edit goes
    interval_literals  INTERVAL 1 HOUR, as a value
    errors             what is wrong and where, as Spark's parser says it
    cursor             from left to right through one statement; every reader of statements uses it
    statements, parse… statements about names and rows, as values
    scripts, heads     a file as statements; what kind of statement a text is
    pieces             clauses and lists of a query, by the places of its tokens
    select_lists       the column that a token stands in, and its alias
    references         the tables that a query reads, and where it says so
    plan_names         what Spark calls a statement

Queries are read only as far as something depends on it: the engine reads them again. A reader of whole queries, with
sqlglot's trees, will stand here as `queries.py`, beside `references`, over the same text and the same places: trees are
for those who only look; what changes a text goes on splicing it.
"""
