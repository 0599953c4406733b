"""How rows of one schema go into a table of another: which columns are renamed or cast, and what the table gains.

As Delta on Spark writes a DataFrame: columns are matched by name whatever their case, missing ones become NULL, types
are cast where nothing but range is lost, and columns that the table lacks are refused or, with `mergeSchema`, added.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.delta import schema as schemas


@dataclass(frozen=True)
class FittedColumn:
    """A column of the data: what it is called there and in the table, and the type to cast it to (None: none)."""

    source: str
    target: str
    cast: pa.DataType | None


@dataclass(frozen=True)
class Fit:
    """How data go into a table, and the table's schema afterwards (`grown`: not the one it has)."""

    columns: tuple[FittedColumn, ...]
    table: pa.Schema
    grown: bool

    @property
    def plain(self) -> bool:
        """Whether the data can go in as they are."""
        return all(column.source == column.target and column.cast is None for column in self.columns)

    def project(self, relation: pb.Relation) -> pb.Relation:
        """`relation` with the columns as the table wants them; the same one if they are so already.

        Raises UNSUPPORTED_DATATYPE.
        """
        if self.plain:
            return relation
        projected = pb.Relation()
        projected.project.input.CopyFrom(relation)
        for column in self.columns:
            alias = projected.project.expressions.add().alias
            alias.name.append(column.target)
            expression = alias.expr
            if column.cast is not None:
                expression.cast.type.CopyFrom(types.to_proto(column.cast))
                expression = expression.cast.expr
            expression.unresolved_attribute.unparsed_identifier = quote_if_needed(column.source)
        return projected


def fit(table: pa.Schema, data: pa.Schema, *, merge_schema: bool, table_id: str) -> Fit:
    """Match `data` to `table`.

    Raises DELTA_METADATA_MISMATCH.SCHEMA_MISMATCH (unknown columns without `merge_schema`),
    DELTA_FAILED_TO_MERGE_FIELDS (types that cannot be reconciled), DELTA_MISSING_NOT_NULL_COLUMN_VALUE.
    """
    merged = schemas.merge(table, data)
    grown = not schemas.same_columns(merged, table)
    if grown and not merge_schema:
        raise _mismatch(table, data, table_id)
    known = schemas.column_index(merged)
    given = schemas.column_index(data)
    for field in table:
        if not field.nullable and field.name.lower() not in given:
            raise AnalysisError.of(
                "DELTA_MISSING_NOT_NULL_COLUMN_VALUE",
                f"Column {field.name}, which has a NOT NULL constraint, is missing from the data being written into "
                "the table.",
                sql_state="23502",
                columnName=field.name,
            )
    columns = []
    for field in data:
        target = known[field.name.lower()]
        wanted = _stored(types.normalise(field.type), types.normalise(target.type))
        columns.append(
            FittedColumn(field.name, target.name, None if wanted.equals(types.normalise(field.type)) else wanted)
        )
    return Fit(tuple(columns), merged, grown)


def fresh(data: pa.Schema) -> Fit:
    """The fit of data to a table that is made for them: every column nullable, nothing renamed or cast."""
    schema = types.nullable(types.normalise_schema(data))
    return Fit(tuple(FittedColumn(f.name, f.name, None) for f in data), schema, grown=True)


def _stored(data: pa.DataType, table: pa.DataType) -> pa.DataType:
    """The type that data are written as: the table's leaves, without the fields that the data lack."""
    if pa.types.is_struct(data) and pa.types.is_struct(table):
        known = {field.name.lower(): field for field in table}
        fields = [known[f.name.lower()].with_type(_stored(f.type, known[f.name.lower()].type)) for f in data]
        return pa.struct([pa.field(f.name, f.type, old.nullable) for f, old in zip(fields, data, strict=True)])
    if pa.types.is_list(data) and pa.types.is_list(table):
        return pa.list_(data.value_field.with_type(_stored(data.value_type, table.value_type)))
    if pa.types.is_map(data) and pa.types.is_map(table):
        item = data.item_field.with_type(_stored(data.item_type, table.item_type))
        return pa.map_(_stored(data.key_type, table.key_type), item)
    return table


def _mismatch(table: pa.Schema, data: pa.Schema, table_id: str) -> AnalysisError:
    return AnalysisError.of(
        "DELTA_METADATA_MISMATCH.SCHEMA_MISMATCH",
        "A metadata mismatch was detected when writing to the Delta table. "
        f"A schema mismatch detected when writing to the Delta table (Table ID: {table_id}).\n"
        "To enable schema migration using DataFrameWriter or DataStreamWriter, please set: "
        '\'.option("mergeSchema", "true")\'.\n'
        "For other operations, set the session configuration spark.databricks.delta.schema.autoMerge.enabled to "
        '"true". See the documentation specific to the operation for details.\n\n'
        f"Table schema:\n{schemas.tree(table)}\n\nData schema:\n{schemas.tree(data)}\n",
        sql_state="42KDG",
        id=table_id,
        tableSchema=schemas.tree(table),
        dataSchema=schemas.tree(data),
    )
