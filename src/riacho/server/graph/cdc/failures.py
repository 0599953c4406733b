"""The errors of AUTO CDC, with Spark's conditions and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from riacho.errors import AnalysisError
from riacho.server.graph.names import Identifier

_FEED = "changeDataFeed"
_REFRESH = "Perform a full refresh of the target table to recreate the auxiliary table."


def _comparison(case_sensitive: bool) -> str:
    return "case-sensitive" if case_sensitive else "case-insensitive"


def missing_source() -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_MISSING_SOURCE",
        "AutoCDC flow is missing a required `source` table name. Specify the name of the streaming source table the "
        "flow should read from.",
        sql_state="22023",
    )


def missing_sequence_by() -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_MISSING_SEQUENCE_BY",
        "AutoCDC flow is missing a required `sequence_by` expression. Specify a `sequence_by` column or expression "
        "that orders incoming change events.",
        sql_state="22023",
    )


def empty_keys() -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_EMPTY_KEYS",
        "AutoCDC requires at least one key column to identify rows, but received an empty key set.",
        sql_state="22023",
    )


def not_a_column(expression: str) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_NON_COLUMN_IDENTIFIER",
        f"Expected a column identifier; got the non-attribute expression `{expression}`. AutoCDC keys, sequence_by, "
        "column_list, and except_column_list must reference unqualified column names.",
        sql_state="22023",
        expression=expression,
    )


def multipart_column(parts: Sequence[str]) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_MULTIPART_COLUMN_IDENTIFIER",
        f"Expected a single column identifier; got the multi-part identifier {'.'.join(parts)} "
        f"(parts: {', '.join(parts)}).",
        sql_state="22023",
        columnName=".".join(parts),
        nameParts=", ".join(parts),
    )


def both_column_lists() -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_BOTH_COLUMN_LIST_AND_EXCEPT_COLUMN_LIST",
        "AutoCDC flow specifies both `column_list` and `except_column_list`; at most one may be provided.",
        sql_state="42613",
    )


def columns_not_found(missing: Iterable[str], available: Iterable[str], case_sensitive: bool) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_COLUMNS_NOT_FOUND_IN_SCHEMA",
        f"Using {_comparison(case_sensitive)} column name comparison, the following columns are not present in the "
        f"{_FEED} schema: {', '.join(missing)}. Available columns: {', '.join(available)}.",
        sql_state="42703",
        caseSensitivity=_comparison(case_sensitive),
        schemaName=_FEED,
        missingColumns=", ".join(missing),
        availableColumns=", ".join(available),
    )


def key_not_selected(key: str, case_sensitive: bool) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_KEY_NOT_IN_SELECTED_SCHEMA",
        f"Using {_comparison(case_sensitive)} column name comparison, the AutoCDC key column `{key}` is not present "
        "in the flow's selected source schema. AutoCDC requires every key column to be present in the source "
        "change-data feed and retained by any configured column selection.",
        sql_state="22023",
        caseSensitivity=_comparison(case_sensitive),
        keyColumnName=key,
    )


def reserved_name(column: str, prefix: str, case_sensitive: bool) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_RESERVED_COLUMN_NAME_PREFIX_CONFLICT",
        f"The column `{column}` in the {_FEED} schema collides with the reserved AutoCDC column name prefix "
        f"`{prefix}` (using {_comparison(case_sensitive)} column name comparison). Rename or remove the column.",
        sql_state="42710",
        caseSensitivity=_comparison(case_sensitive),
        columnName=column,
        schemaName=_FEED,
        reservedColumnNamePrefix=prefix,
    )


def interval_name(column: str, reserved: str, case_sensitive: bool) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_RESERVED_COLUMN_NAME_CONFLICT",
        f"The column `{column}` in the {_FEED} schema has the name of the column {reserved}, which AutoCDC adds to a "
        f"target of SCD type 2 (using {_comparison(case_sensitive)} column name comparison). Rename or remove the "
        "column.",
        sql_state="42710",
        caseSensitivity=_comparison(case_sensitive),
        columnName=column,
        schemaName=_FEED,
        reservedColumnName=reserved,
    )


def several_flows(table: Identifier, flows: Iterable[Identifier]) -> AnalysisError:
    listed = ", ".join(sorted(str(flow) for flow in flows))
    return AnalysisError.of(
        "AUTOCDC_MULTIPLE_FLOWS_TO_TARGET",
        f"Invalid AutoCDC destination {table} with multiple flows: {listed}. An AutoCDC target table must have "
        "exactly one flow writing to it.",
        sql_state="42000",
        tableName=str(table),
        flows=listed,
    )


def no_merge(table: str, form: str) -> AnalysisError:
    return AnalysisError.of(
        "AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE",
        f"Cannot start AutoCDC flow: the target table {table} (format: {form}) does not support row-level operations. "
        "AutoCDC requires a target backed by a connector that supports MERGE.",
        sql_state="0A000",
        tableName=table,
        format=form,
    )


def _invalid_state(kind: str, flow: str, text: str, **parameters: str) -> AnalysisError:
    return AnalysisError.of(
        f"AUTOCDC_INVALID_STATE.{kind}",
        f"AutoCDC flow {flow} detected an invalid state: {text}",
        sql_state="42000",
        flowName=flow,
        **parameters,
    )


def key_drift(flow: str, table: str, expected: str, recorded: str) -> AnalysisError:
    return _invalid_state(
        "KEY_SCHEMA_DRIFT",
        flow,
        f"The AutoCDC flow's current key columns {expected} do not match the keys recorded in the auxiliary table "
        f"{table} (recorded keys {recorded}). AutoCDC does not support changing key columns or their types across "
        "incremental pipeline runs. To change keys, perform a full refresh of the target table.",
        expectedKeySchema=expected,
        auxTableName=table,
        recordedKeySchema=recorded,
    )


def scd_type_drift(flow: str, table: str, expected: str, recorded: str) -> AnalysisError:
    return _invalid_state(
        "SCD_TYPE_DRIFT",
        flow,
        f"The auxiliary table {table} was made for {recorded}, and the flow is now {expected}. Perform a full refresh "
        "of the target table to change how it keeps its rows.",
        auxTableName=table,
        expectedScdType=expected,
        recordedScdType=recorded,
    )


def property_missing(flow: str, table: str, name: str) -> AnalysisError:
    return _invalid_state(
        "AUXILIARY_TABLE_PROPERTY_MISSING",
        flow,
        f"The auxiliary table {table} is missing the required {name} table property; cannot validate AutoCDC key "
        f"columns. The auxiliary table metadata may be corrupted or have been modified externally. {_REFRESH}",
        auxTableName=table,
        propertyName=name,
    )


def property_malformed(flow: str, table: str, name: str, value: str) -> AnalysisError:
    return _invalid_state(
        "AUXILIARY_TABLE_PROPERTY_MALFORMED",
        flow,
        f"The auxiliary table {table} has a malformed {name} property with raw value '{value}'. The property must be "
        'a JSON array of strings (e.g. \'["id","region"]\'). The auxiliary table metadata may be corrupted or have '
        f"been modified externally. {_REFRESH}",
        auxTableName=table,
        propertyName=name,
        rawValue=value,
    )


def key_column_missing(flow: str, table: str, column: str, name: str) -> AnalysisError:
    return _invalid_state(
        "AUXILIARY_TABLE_KEY_COLUMN_MISSING",
        flow,
        f"The auxiliary table {table} is missing key column {column} that is recorded in its {name} table property. "
        "The auxiliary table schema may be corrupted or have been modified externally. "
        f"{_REFRESH}",
        auxTableName=table,
        keyColumnName=column,
        propertyName=name,
    )


def key_named_twice(key: str) -> AnalysisError:
    return AnalysisError.of(
        "COLUMN_ALREADY_EXISTS",
        f"The column `{key}` already exists: the AutoCDC flow names this key twice. Name each key once.",
        sql_state="42711",
        columnName=f"`{key}`",
    )


def _invalid_batch(kind: str, table: str, batch_id: int, text: str, **parameters: str) -> AnalysisError:
    return AnalysisError.of(
        f"AUTOCDC_MICROBATCH_VALIDATION.{kind}",
        f"AutoCDC flow on table {table} in batch {batch_id} failed microbatch validation. {text}",
        sql_state="22000",
        tableName=table,
        batchId=str(batch_id),
        **parameters,
    )


def not_orderable(table: str, batch_id: int, kind: str) -> AnalysisError:
    return _invalid_batch(
        "NON_ORDERABLE_SEQUENCE",
        table,
        batch_id,
        f"The sequencing column has non-orderable type {kind}. The sequencing column must be of a type that supports "
        "ordering.",
        dataType=kind,
    )


def null_sequence(table: str, batch_id: int, count: int) -> AnalysisError:
    return _invalid_batch(
        "NULL_SEQUENCE",
        table,
        batch_id,
        f"The microbatch contains {count} row(s) with a null sequencing value. All rows must have a non-null "
        "sequencing value.",
        nullCount=str(count),
    )


def null_keys(table: str, batch_id: int, counts: Mapping[str, int]) -> AnalysisError:
    listed = ", ".join(f"`{name.replace('`', '``')}`={count}" for name, count in counts.items())
    return _invalid_batch(
        "NULL_KEY",
        table,
        batch_id,
        f"The microbatch contains rows with null values in the following key column(s): {listed}. All rows must have "
        "non-null values for every key column.",
        nullKeyCounts=listed,
    )
