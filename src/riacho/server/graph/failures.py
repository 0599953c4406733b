"""The errors of pipelines, with Spark's conditions and texts.

Spark throws three of these names without having a text for them (its own client sees an internal error); their texts
here are ours: MULTIPART_TEMPORARY_VIEW_NAME_NOT_SUPPORTED, TABLE_NOT_RESETTABLE and FLOW_NAME_CONFLICTS_WITH_TABLE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import (
    AnalysisError,
    IllegalArgumentError,
    IllegalStateError,
    SparkError,
    SparkGeneralError,
    UnsupportedOperationError,
)
from riacho.server.graph.names import Identifier
from riacho.server.graph.schemas import tree_string

_MUST_BE_SINGLE = "is not allowed to have several parts: it lives in the pipeline, not in the catalog."


def graph_not_found(graph_id: str) -> SparkGeneralError:
    return SparkGeneralError.of(
        "DATAFLOW_GRAPH_NOT_FOUND",
        f"Dataflow graph with id {graph_id} could not be found",
        sql_state="KD011",
        graphId=graph_id,
    )


def graph_is_running(graph_id: str) -> SparkError:
    return SparkGeneralError.of(
        "SPARK_CONNECT_ILLEGAL_STATE.EXECUTION_STATE_EXECUTE_HOLDER_ALREADY_EXISTS_GRAPH",
        "Spark Connect encountered an illegal state condition. Pipeline execution for graph ID "
        f"{graph_id} already exists. Stop the existing execution before starting a new one.",
        sql_state="XXSC0",
        graphId=graph_id,
    )


def flow_is_running(flow: Identifier) -> SparkError:
    return IllegalStateError(
        f"The flow '{flow}' is being run by another update, in this server or in another process. Stop that update "
        "first (a continuous one runs until it is stopped), or leave the table out with a refresh of others."
    )


def multipart_view_name(name: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "MULTIPART_TEMPORARY_VIEW_NAME_NOT_SUPPORTED",
        f"The temporary view '{name}' {_MUST_BE_SINGLE}",
        sql_state="0A000",
        viewName=str(name),
    )


def multipart_sink_name(name: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "MULTIPART_SINK_NAME_NOT_SUPPORTED",
        f"The sink '{name}' {_MUST_BE_SINGLE}",
        sql_state="0A000",
        sinkName=str(name),
    )


def multipart_flow_name(name: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "MULTIPART_FLOW_NAME_NOT_SUPPORTED",
        f"Flow with multipart name '{name}' is not supported.",
        sql_state="0A000",
        flowName=str(name),
    )


def duplicate_output(name: Identifier, types: Iterable[str]) -> AnalysisError:
    first, second = sorted(types)[:2]
    return AnalysisError.of(
        "PIPELINE_DUPLICATE_IDENTIFIERS.OUTPUT",
        "A duplicate identifier was found for elements registered in the pipeline's dataflow graph. "
        f"Attempted to register a {first} with identifier {name.quoted}, but a {second} has already been registered "
        "with that identifier. Please ensure all outputs created within this pipeline have unique identifiers.",
        sql_state="42710",
        outputType1=first,
        outputName=name.quoted,
        outputType2=second,
    )


def duplicate_flow(name: Identifier, targets: Iterable[Identifier]) -> AnalysisError:
    datasets = ",".join(dict.fromkeys(target.quoted for target in targets))
    return AnalysisError.of(
        "PIPELINE_DUPLICATE_IDENTIFIERS.FLOW",
        "A duplicate identifier was found for elements registered in the pipeline's dataflow graph. "
        f"Flow {name} was found in multiple datasets: {datasets}",
        sql_state="42710",
        flowName=str(name),
        datasetNames=datasets,
    )


def flow_named_like_table(flow: Identifier, target: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "FLOW_NAME_CONFLICTS_WITH_TABLE",
        f"The flow '{flow}' writes to '{target}' but has the name of another table of the pipeline. "
        "Please give the flow a name of its own.",
        sql_state="42710",
        flowName=str(flow),
        target=str(target),
        tableName=str(flow),
    )


def unknown_target(flow: Identifier, target: Identifier) -> IllegalArgumentError:
    return IllegalArgumentError(
        f"Unsupported destination {target} in flow: {flow}: the pipeline defines no such output."
    )


def empty_pipeline() -> AnalysisError:
    return AnalysisError.of(
        "RUN_EMPTY_PIPELINE",
        "Pipelines are expected to have at least one non-temporary dataset defined (tables, persisted views) but no "
        "non-temporary datasets were found in your pipeline.\nPlease verify that you have included the expected source "
        "files, and that your source code includes table definitions (e.g., CREATE MATERIALIZED VIEW in SQL code, "
        "@dp.table in python code).",
        sql_state="42617",
    )


def unresolved_dataset(name: Identifier) -> AnalysisError:
    return AnalysisError(
        f"Failed to read dataset '{name}'. Dataset is defined in the pipeline but could not be resolved."
    )


def batch_view_read_as_stream(view: Identifier) -> AnalysisError:
    return _incompatible_view("BATCH", view, "a batch view", "SparkSession#read")


def streaming_view_read_as_batch(view: Identifier) -> AnalysisError:
    return _incompatible_view("STREAMING", view, "a streaming view", "SparkSession#readStream")


def _incompatible_view(kind: str, view: Identifier, what: str, way_out: str) -> AnalysisError:
    return AnalysisError.of(
        f"INCOMPATIBLE_{kind}_VIEW_READ",
        f"View {view.quoted} is {what} and must be referenced using {way_out}. This check can be disabled by setting "
        "Spark conf pipelines.incompatibleViewCheck.enabled = false.",
        sql_state="42000",
        datasetIdentifier=view.quoted,
    )


def conflicting_conf(dataset: Identifier, key: str, first: Identifier, second: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "DUPLICATE_FLOW_SQL_CONF",
        f"Found duplicate sql conf for dataset '{dataset}': '{key}' is defined by both '{first}' and '{second}'",
        sql_state="42710",
        datasetName=str(dataset),
        key=key,
        flowName1=str(first),
        flowName2=str(second),
    )


@dataclass(frozen=True)
class FailedFlow:
    """A flow that could not be resolved, and why."""

    flow: Identifier
    error: SparkError


class UnresolvedPipelineError(AnalysisError):
    """Some flows could not be resolved: `direct` by their own fault, `downstream` because of a flow they read."""

    def __init__(self, direct: Sequence[FailedFlow], downstream: Sequence[FailedFlow]) -> None:
        super().__init__(
            "\nFailed to resolve flows in the pipeline.\n\n"
            "A flow can fail to resolve because the flow itself contains errors or because it reads\n"
            "from an upstream flow which failed to resolve.\n\n"
            f"Flows with errors: {_names(direct)}\n"
            f"Flows that failed due to upstream errors: {_names(downstream)}\n\n"
            "To view the exceptions that were raised while resolving these flows, look for flow\n"
            "failures that precede this log."
        )
        self.direct = direct
        self.downstream = downstream


def _names(failed: Iterable[FailedFlow]) -> str:
    return ", ".join(sorted(str(failure.flow) for failure in failed))


def circular(downstream: Identifier, upstream: Identifier) -> AnalysisError:
    return AnalysisError(
        f"The downstream table '{downstream}' is referenced when creating the upstream table or view '{upstream}'. "
        "Circular dependencies are not supported in a pipeline. Please remove the dependency between "
        f"'{upstream}' and '{downstream}'."
    )


def schema_not_compatible(
    table: Identifier, *, streaming: bool, declared: pa.Schema, inferred: pa.Schema
) -> AnalysisError:
    hint = (
        "\n\nStreaming tables are stateful and remember data that has already been\nprocessed. If you want to "
        "recompute the table from scratch, please full refresh\nthe table.\n"
        if streaming
        else ""
    )
    return AnalysisError.of(
        "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE",
        f"Table '{table}' has a user-specified schema that is incompatible with the schema\ninferred from its query."
        f"\n{hint}\n\nDeclared schema:\n{tree_string(declared)}\n\nInferred schema:\n{tree_string(inferred)}",
        sql_state="42000",
        tableName=str(table),
        streamingTableHint=hint,
        specifiedSchema=tree_string(declared),
        inferredDataSchema=tree_string(inferred),
    )


def several_queries(table: Identifier, flows: Iterable[Identifier]) -> AnalysisError:
    listed = ", ".join(sorted(str(flow) for flow in flows))
    return AnalysisError.of(
        "MATERIALIZED_VIEW_WITH_MULTIPLE_QUERIES",
        f"Invalid destination {table} with multiple flows: {listed}.",
        sql_state="42000",
        tableName=str(table),
        flows=listed,
    )


def temporary_object(view: Identifier, temporary: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "INVALID_TEMP_OBJ_REFERENCE",
        f"Cannot create the persistent object {view.quoted} of the type view because it references to the temporary "
        f"object {temporary.quoted} of the type temporary view. Please make the temporary object {temporary.quoted} "
        f"persistent, or make the persistent object {view.quoted} temporary.",
        sql_state="42K0F",
        objName=view.quoted,
        obj="view",
        tempObjName=temporary.quoted,
        tempObj="temporary view",
    )


def without_flow(dataset: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "PIPELINE_DATASET_WITHOUT_FLOW",
        f"Pipeline dataset {dataset.quoted} does not have any defined flows. Please attach a query with the dataset's "
        "definition, or explicitly define at least one flow that writes to the dataset.",
        sql_state="0A000",
        identifier=dataset.quoted,
    )


RESET_ALLOWED = "pipelines.reset.allowed"
"""The table property that, set to false, keeps a table from being fully refreshed."""


def resettable_dependency(downstream: Identifier, upstream: Iterable[Identifier]) -> AnalysisError:
    tables = ", ".join(f"'{name}'" for name in sorted(map(str, upstream)))
    return AnalysisError.of(
        "INVALID_RESETTABLE_DEPENDENCY",
        f"Tables {tables} are resettable but have a non-resettable downstream dependency '{downstream}'. `reset` will "
        "fail as Spark Streaming does not support deleted source data. You can either remove the "
        f"{RESET_ALLOWED}=false property from '{downstream}' or add it to its upstream dependencies.",
        sql_state="42000",
        upstreamResettableTables=tables,
        downstreamTable=str(downstream),
        resetAllowedKey=RESET_ALLOWED,
    )


def _query_type(kind: str, flow: Identifier, text: str, **parameters: str) -> AnalysisError:
    return AnalysisError.of(
        f"INVALID_FLOW_QUERY_TYPE.{kind}",
        f"Flow {flow.quoted} returns an invalid relation type. {text}",
        sql_state="42000",
        flowIdentifier=flow.quoted,
        **parameters,
    )


def batch_for_streaming_table(flow: Identifier, table: Identifier) -> AnalysisError:
    return _query_type(
        "BATCH_RELATION_FOR_STREAMING_TABLE",
        flow,
        f"Streaming tables may only be defined by streaming relations, but the flow {flow.quoted} attempts to write a "
        f"batch relation to the streaming table {table.quoted}. Consider using the STREAM operator in Spark-SQL to "
        "convert the batch relation into a streaming relation, or populating the streaming table with an append "
        "once-flow instead.",
        tableIdentifier=table.quoted,
    )


def streaming_for_materialized_view(flow: Identifier, table: Identifier) -> AnalysisError:
    return _query_type(
        "STREAMING_RELATION_FOR_MATERIALIZED_VIEW",
        flow,
        f"Materialized views may only be defined by a batch relation, but the flow {flow.quoted} attempts to write a "
        f"streaming relation to the materialized view {table.quoted}.",
        tableIdentifier=table.quoted,
    )


def streaming_for_once(flow: Identifier) -> AnalysisError:
    return _query_type(
        "STREAMING_RELATION_FOR_ONCE_FLOW",
        flow,
        f"{flow.quoted} is an append once-flow that is defined by a streaming relation. Append once-flows may only be "
        "defined by or return a batch relation.",
    )


def once_for_other_target(flow: Identifier, target: Identifier) -> IllegalArgumentError:
    return IllegalArgumentError(
        f"Flow {flow.quoted} is to run once, but its target {target.quoted} is neither a streaming table nor a sink. "
        "Give it one of these as its target."
    )


def streaming_for_persisted_view(flow: Identifier, view: Identifier) -> AnalysisError:
    return _query_type(
        "STREAMING_RELATION_FOR_PERSISTED_VIEW",
        flow,
        f"Persisted views may only be defined by a batch relation, but the flow {flow.quoted} attempts to write a "
        f"streaming relation to the persisted view {view.quoted}.",
        viewIdentifier=view.quoted,
    )


def streaming_for_snapshots(flow: Identifier) -> AnalysisError:
    return AnalysisError(
        f"A snapshot is all rows that there are, but the flow {flow.quoted} got a stream. Read the source of the "
        "snapshots as a batch (spark.read), or use create_auto_cdc_flow for a stream of changes."
    )


def expectations_of_snapshots(table: Identifier) -> UnsupportedOperationError:
    return UnsupportedOperationError(
        f"{table.quoted} follows snapshots, so it cannot have expectations: a row that a rule takes out would count as "
        "deleted. Give them to a table or view that the snapshots are made of."
    )


def changes_for_temporary_view(flow: Identifier, view: Identifier) -> AnalysisError:
    return _query_type(
        "AUTOCDC_RELATION_FOR_TEMPORARY_VIEW",
        flow,
        "AutoCDC flows must target a streaming table because their reconciliation semantics require a streaming-table "
        f"sink, but the flow {flow.quoted} attempts to write an AutoCDC relation to the temporary view {view.quoted}.",
        viewIdentifier=view.quoted,
    )


def changes_for_other_target(flow: Identifier, target: Identifier) -> AnalysisError:
    return AnalysisError(
        f"AutoCDC flows must target a streaming table, but the flow {flow.quoted} attempts to write to {target.quoted}."
    )


def batch_for_sink(flow: Identifier, sink: Identifier) -> AnalysisError:
    return AnalysisError(
        f"Sinks may only be fed by streaming relations, but the flow {flow.quoted} attempts to write a batch relation "
        f"to the sink {sink.quoted}. Read its input as a stream: spark.readStream, or STREAM in SQL."
    )


def storage_missing() -> IllegalArgumentError:
    return IllegalArgumentError("Storage must be specified to start a run.")


def storage_invalid(root: str) -> SparkGeneralError:
    return SparkGeneralError.of(
        "PIPELINE_STORAGE_ROOT_INVALID",
        "Pipeline storage root must be an absolute path with a URI scheme (e.g., file://, s3a://, hdfs://). "
        f"Got: `{root}`.",
        sql_state="42K03",
        storage_root=f"`{root}`",
    )


def not_resettable(table: Identifier) -> AnalysisError:
    return AnalysisError.of(
        "TABLE_NOT_RESETTABLE",
        f"The table '{table}' cannot be fully refreshed: its property {RESET_ALLOWED} is false. Please remove it from "
        "the full refresh, or the property from the table.",
        sql_state="42000",
        tableName=str(table),
    )


def partitioning_changed(existing: Sequence[str], requested: Sequence[str]) -> AnalysisError:
    have, want = (", ".join(f"identity({column})" for column in columns) for columns in (existing, requested))
    return AnalysisError.of(
        "CANNOT_UPDATE_PARTITION_COLUMNS",
        f"Declared partitioning {want} conflicts with existing table partitioning {have}.\n"
        "Please delete the table or change the declared partitioning to match its partitions.",
        sql_state="42000",
        requestedPartitionColumns=want,
        existingPartitionColumns=have,
    )


def clustered_and_partitioned() -> AnalysisError:
    return AnalysisError.of(
        "SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED",
        "Cannot specify both CLUSTER BY and PARTITIONED BY.",
        sql_state="42908",
    )


def registration(message: str, *, query: str, file: str, line: int) -> AnalysisError:
    return AnalysisError.of(
        "PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR",
        f"{message}\n\nOffending query:\n{query}\n\nQuery defined at {file}:{line}",
        sql_state="42000",
        message=message,
        offendingQuery=query,
        codeLocation=f"Query defined at {file}:{line}",
    )
