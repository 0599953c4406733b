"""What was posted to an ingest endpoint, as a stream and in batches. See docs/ingest.md.

An endpoint keeps its events in a log of its own on disk (`log.py`), which an HTTP server writes (`riacho.ingest`) and
the data source reads (`source.py`); the two meet in nothing else.
"""
