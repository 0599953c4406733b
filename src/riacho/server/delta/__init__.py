"""Delta's transaction log, read and written directly.

A Delta table is a folder of Parquet files and a log: `_delta_log/00000000000000000007.json` holds version 7 as one
JSON action per line, and now and then a checkpoint sums up all versions so far. Reading a commit by its number and
putting the next one in place are a file each, so a streaming batch pays a fraction of a millisecond for them, however
long the table's history is. Writing checkpoints and VACUUM are delta-rs's.
Source: `PROTOCOL.md` of delta-io/delta.
"""
