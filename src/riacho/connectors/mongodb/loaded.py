"""Imports what the connector needs and takes long to import: for the process that workers are forked from."""

from __future__ import annotations

from contextlib import suppress

from pyspark.sql.types import StructType

with suppress(ImportError):  # who needs what is missing says so
    import pymongo  # noqa: F401

    import riacho.connectors.mongodb.convert
    import riacho.connectors.mongodb.reader
    import riacho.connectors.mongodb.source
    import riacho.connectors.mongodb.writer  # noqa: F401
    from riacho.connectors.mongodb.fast import FastDecoder

    FastDecoder.make(StructType())
