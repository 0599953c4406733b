"""Spark Connect plans, read and rewritten: pure functions over `Relation` messages, no I/O.

Where to look, in the order a plan comes by:

    walk         go through plans and expressions, and rebuild them
    tokens, sql, sql_tables, select_items      SQL text, scanned and spliced: which tables it reads, what it streams
    sql_expressions, sql_query, sql_grouping   SQL text, read into expressions and relations where they must be seen
    rules        the rewrites, one a file; `rewrite` says in which order, and makes the template that batches fill
    facts        what a plan is: streaming or not, its sources, the state it keeps
    event_time, join_condition                 which columns carry watermarks, and what joins say about time
    usage, mentions                            which columns of a relation are used further up, for sure and at most
    checks       what Spark refuses, refused in its words
    failures     errors about names that others raise, too
    build, restore_names, text                      write plans in few words, stand in for them, show them to people
"""
