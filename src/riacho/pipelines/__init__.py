"""Pipelines for Spark and riacho: all of `pyspark.pipelines`, and what it does not have.

    from riacho import pipelines as dp

A definition file that imports this instead of `pyspark.pipelines` runs on riacho and on stock Spark. This package
imports `pyspark` only.
"""

from __future__ import annotations

from pyspark.pipelines import create_sink

from riacho.pipelines.changes import create_auto_cdc_flow
from riacho.pipelines.datasets import materialized_view, table, temporary_view
from riacho.pipelines.flows import append_flow
from riacho.pipelines.rules import (
    checked,
    expect,
    expect_all,
    expect_all_or_drop,
    expect_all_or_fail,
    expect_all_or_quarantine,
    expect_or_drop,
    expect_or_fail,
    expect_or_quarantine,
    expect_unique,
)
from riacho.pipelines.sinks import foreach_batch_sink
from riacho.pipelines.snapshots import create_auto_cdc_from_snapshot_flow
from riacho.pipelines.tables import create_streaming_table

__all__ = [
    "append_flow",
    "checked",
    "create_auto_cdc_flow",
    "create_auto_cdc_from_snapshot_flow",
    "create_sink",
    "create_streaming_table",
    "expect",
    "expect_all",
    "expect_all_or_drop",
    "expect_all_or_fail",
    "expect_all_or_quarantine",
    "expect_or_drop",
    "expect_or_fail",
    "expect_or_quarantine",
    "expect_unique",
    "foreach_batch_sink",
    "materialized_view",
    "table",
    "temporary_view",
]
