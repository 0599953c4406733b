"""Spark Declarative Pipelines: a graph of outputs and flows, resolved, validated, planned in stages, and run."""

from riacho.pipelines.flow_sessions import ClonedSessions
from riacho.pipelines.materialized import DeltaTableWriter
from riacho.pipelines.ports import Analyzer, PipelineSession, RunningFlow, StreamStarter
from riacho.pipelines.service import PipelineService

__all__ = [
    "Analyzer",
    "ClonedSessions",
    "DeltaTableWriter",
    "PipelineService",
    "PipelineSession",
    "RunningFlow",
    "StreamStarter",
]
