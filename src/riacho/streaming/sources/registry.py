"""From a streaming leaf of a plan to its source: the format, or the table, decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from riacho.catalog.base import CatalogReader
from riacho.engine.base import EngineSession
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.streaming.sources.base import Source
from riacho.streaming.sources.rate import RatePerBatchSource, RateSource

Options = Mapping[str, str]

GENERATED: Mapping[str, Callable[[Options], Source]] = {
    "rate": RateSource.from_options,
    "rate-micro-batch": RatePerBatchSource.from_options,
}


def make_source(leaf: pb.Relation, session: EngineSession, catalog: CatalogReader, current_database: str) -> Source:
    """The source of a streaming `Read` leaf.

    Raises DATA_SOURCE_NOT_FOUND for an unknown format, TABLE_OR_VIEW_NOT_FOUND, and what a source says of its options.
    """
    read = leaf.read
    options = {key.lower(): value for key, value in read.data_source.options.items()}
    format_name = read.data_source.format.lower()
    if format_name in GENERATED:
        return GENERATED[format_name](options)
    raise AnalysisError.of(
        "DATA_SOURCE_NOT_FOUND",
        f"Failed to find the data source: {read.data_source.format}. Make sure the provider name is correct and the "
        "package is properly registered and compatible with your Spark version.",
        sql_state="42K02",
        provider=read.data_source.format,
    )
