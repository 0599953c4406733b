"""Rows as files in folders, as Spark lays them out: names, partition folders, and jobs that appear whole or not at all.

How a file looks inside is `formats.write`'s business. Streams (`streaming/sinks/files.py`), `df.write` and tables that
are files all write through here.
"""
