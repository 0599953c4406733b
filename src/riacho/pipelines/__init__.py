"""Pipelines for Spark and riacho: all of `pyspark.pipelines`, and what it does not have.

    from riacho import pipelines as dp

A definition file that imports this instead of `pyspark.pipelines` runs on riacho and on stock Spark. This package
imports `pyspark` only.
"""

from __future__ import annotations

from pyspark.pipelines import (
    create_auto_cdc_flow,
    create_sink,
    create_streaming_table,
    materialized_view,
    table,
    temporary_view,
)

from riacho.pipelines.flows import append_flow

__all__ = [
    "append_flow",
    "create_auto_cdc_flow",
    "create_sink",
    "create_streaming_table",
    "materialized_view",
    "table",
    "temporary_view",
]
