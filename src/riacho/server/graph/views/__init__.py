"""Materialized views kept up to date from changes alone, where that gives what computing them anew would give.

plan         the view's query over numbered inputs, and whether it always gives the same
history      what became of a Delta table since a version: nothing, rows were added, or more
added        the rows that a query has more, of the rows that its inputs have more
record       what a version of a view was made of, kept in that version's own commit
refresh      which way is taken, and the commit
"""
