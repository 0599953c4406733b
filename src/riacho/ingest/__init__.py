"""The HTTP side of ingest: requests become events of a log (`riacho.connectors.ingest`), and are answered when they are
on disk. See docs/ingest.md.
"""
