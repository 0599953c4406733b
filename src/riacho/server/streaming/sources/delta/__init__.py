"""A Delta table as a streaming source: first all its rows, then those of each commit. Source: Delta's `DeltaSource`.

options.py   what a query may ask for
offsets.py   where a query stands, as JSON in the checkpoint
changes.py   the files between two positions, and which commits are refused
source.py    the source and its reader
"""

from riacho.server.streaming.sources.delta.source import DeltaSource

__all__ = ["DeltaSource"]
