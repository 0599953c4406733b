"""New and changed rows of one PostgreSQL table as a stream, found by a column that grows.

source    the data source: options, schema
reader    the stream reader
windows   which rows a batch has: by the transactions that wrote them, and by the cursor
"""
