"""The auxiliary table of a target: what it is called, what it records of the flow, and whether it still fits the flow.

Source: Spark's `AutoCdcAuxiliaryTable`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from riacho import types
from riacho.server.catalog.base import Catalog, Table, TableName
from riacho.server.graph import schemas
from riacho.server.graph.cdc import failures
from riacho.server.graph.cdc.definition import PREFIX, CdcFlow, find
from riacho.server.graph.cdc.strategies import strategy_of

SCD_TYPE = "pipelines.autocdc.scdType"
KEY_COLUMNS = "pipelines.autocdc.keyColumnNames"


def auxiliary_name(target: TableName) -> TableName:
    """The name of a target's auxiliary table."""
    return replace(target, table=f"{PREFIX}aux_state_{target.table}")


def ensured(catalog: Catalog, target: Table, flow: CdcFlow, flow_name: str) -> Table:
    """The auxiliary table of `target`, made if it is missing, with new columns if the flow has some.

    Raises AUTOCDC_INVALID_STATE.* for another flow's.
    """
    name = auxiliary_name(target.name)
    schema = types.normalise_schema(strategy_of(flow).auxiliary_schema(flow))
    existing = catalog.table(name)
    if existing is not None:
        check(existing, flow, flow_name)
        wanted = schemas.merge(existing.schema, schema)
        same = types.normalise_schema(existing.schema).equals(wanted)
        return existing if same else catalog.evolve(name, wanted)
    return catalog.create_table(
        name,
        schema,
        format=target.format,
        properties={SCD_TYPE: flow.stored_as.label, KEY_COLUMNS: names_json(flow.keys)},
        if_not_exists=True,
    )


def names_json(names: Sequence[str]) -> str:
    """Names as the property keeps them."""
    return json.dumps(list(names), separators=(",", ":"), ensure_ascii=False)


def check(existing: Table, flow: CdcFlow, flow_name: str) -> None:
    """Whether a table that is there keeps the state of this flow: the same keys, of the same types, the same SCD type.

    Raises AUTOCDC_INVALID_STATE.*.
    """
    table = str(existing.name)
    names = _recorded(existing, flow_name, table)
    recorded = []
    for name in names:
        column = find(existing.schema, name, flow.case_sensitive)
        if column is None:
            raise failures.key_column_missing(flow_name, table, name, KEY_COLUMNS)
        recorded.append(existing.schema.field(column))
    if not _same(pa.schema(recorded), flow.key_schema, flow.case_sensitive):
        expected, found = (_ddl(schema) for schema in (flow.key_schema, pa.schema(recorded)))
        raise failures.key_drift(flow_name, table, expected, found)
    kept_as = existing.properties.get(SCD_TYPE)
    if kept_as is None:
        raise failures.property_missing(flow_name, table, SCD_TYPE)
    if kept_as != flow.stored_as.label:
        raise failures.scd_type_drift(flow_name, table, flow.stored_as.label, kept_as)


def _recorded(existing: Table, flow_name: str, table: str) -> list[str]:
    text = existing.properties.get(KEY_COLUMNS)
    if text is None:
        raise failures.property_missing(flow_name, table, KEY_COLUMNS)
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise failures.property_malformed(flow_name, table, KEY_COLUMNS, text)
    return names


def _same(recorded: pa.Schema, expected: pa.Schema, case_sensitive: bool) -> bool:
    """The same columns in any order; whether they may be null does not count."""
    if len(recorded) != len(expected):
        return False
    have = types.nullable(types.normalise_schema(recorded))
    for field in types.nullable(types.normalise_schema(expected)):
        name = find(have, field.name, case_sensitive)
        if name is None or not have.field(name).type.equals(field.type):
            return False
    return True


def _ddl(schema: pa.Schema) -> str:
    return ",".join(types.to_ddl(pa.schema([field])) for field in types.normalise_schema(schema))
