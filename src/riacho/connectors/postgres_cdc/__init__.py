"""Changes of PostgreSQL's tables as a stream: a snapshot, then logical replication. `docs/postgres-cdc.md` is its page.

source    the data source: options, schema
reader    the stream reader: which batch comes next, its rows
offsets   where a stream stands: nothing yet, in the snapshot, in the changes
slots     the replication slot: making it, looking into it, moving it on
snapshot  rows of tables as they were when the slot was made
pgoutput  messages of the log as arrays of positions
changes   messages of the log as rows
shape     rows as the stream's columns
"""
