"""Spark Declarative Pipelines: a graph of outputs and flows, resolved, validated, planned in stages, and run."""

from riacho.server.graph.flow_sessions import ClonedSessions
from riacho.server.graph.materialized import DeltaTableWriter
from riacho.server.graph.ports import Analyzer, PipelineSession, RunningFlow, StreamStarter
from riacho.server.graph.service import PipelineService

__all__ = [
    "Analyzer",
    "ClonedSessions",
    "DeltaTableWriter",
    "PipelineService",
    "PipelineSession",
    "RunningFlow",
    "StreamStarter",
]
