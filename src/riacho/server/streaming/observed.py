"""Metrics that `DataFrame.observe` watches: computed for each batch, and shown in its progress.

Spark shows them in two forms. Listeners get names and values, `{"rc": 1, "erc": 1}`. `lastProgress` over Spark Connect
shows the row itself, `{"values": [1, 1], "schema": {…}}`; here the names stand beside that, for programs that look for
them. Sources: `org.apache.spark.sql.streaming.StreamingQueryProgress`, `org.apache.spark.sql.Row.jsonValue`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.plan.context import Context, Observation
from riacho.server.plan.facts import kind
from riacho.server.plan.rewrite import Template
from riacho.server.plan.rules.batch_time import BatchTime

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what is without a zone is compared with what is without one


@dataclass(frozen=True)
class Observed:
    """The metrics of one `observe` in one batch: a row. Two columns may have one name."""

    schema: pa.Schema
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: pa.Table) -> Observed:
        """The first row of a table."""
        return cls(types.normalise_schema(row.schema), tuple(column[0].as_py() for column in row.columns))

    def named(self) -> dict[str, Any]:
        """As listeners get it: values by name, times as UTC text; the last of two that have one name."""
        fields = zip(self.schema, self.values, strict=True)
        return {field.name: _named(value, field.type) for field, value in fields}

    def as_row(self) -> dict[str, Any]:
        """As `lastProgress` has it: values in order and their schema, times as milliseconds; then those of `named`."""
        return {**self.named(), **_row(list(self.schema), self.values)}


class Observations:
    """All `observe`s of a plan, prepared once. What stands above an operator that keeps state is not watched."""

    def __init__(self, context: Context, session: EngineSession) -> None:
        self._session = session
        self._templates = [
            (each.name, Template(_aggregate(each), context.metadata_leaves))
            for each in context.observations
            if kind(each.input) == "stateless"
        ]

    def of(self, leaves: Callable[[], Sequence[pb.Relation]], time: BatchTime) -> dict[str, Observed]:
        """The metrics of a batch by name; `leaves`, the batch's rows, are asked for only if there is something to see.

        Raises SparkError, EngineLost.
        """
        if not self._templates:
            return {}
        rows = dict(enumerate(leaves()))
        return {name: Observed.of(self._session.run(template.bind(rows, time))) for name, template in self._templates}


def _aggregate(observation: Observation) -> pb.Relation:
    relation = pb.Relation()
    relation.aggregate.input.CopyFrom(observation.input)
    relation.aggregate.group_type = pb.Aggregate.GROUP_TYPE_GROUPBY
    relation.aggregate.aggregate_expressions.extend(observation.metrics)
    return relation


def _named(value: Any, arrow: pa.DataType) -> Any:
    if value is not None:
        if pa.types.is_struct(arrow):
            return {field.name: _named(value[field.name], field.type) for field in arrow}
        if pa.types.is_map(arrow):
            return _map(value, arrow, _named)
        if pa.types.is_list(arrow):
            return [_named(item, arrow.value_type) for item in value]
        if isinstance(value, datetime):
            return _utc(value).replace(tzinfo=None).isoformat(" ", "seconds")
        if isinstance(value, date):
            return value.isoformat()
    return _plain(value)


def _row(fields: Sequence[pa.Field], values: Sequence[Any]) -> dict[str, Any]:
    shown = [_in_row(value, field.type) for field, value in zip(fields, values, strict=True)]
    return {"values": shown, "schema": json.loads(types.to_json(pa.schema(fields)))}


def _in_row(value: Any, arrow: pa.DataType) -> Any:
    if value is not None:
        if pa.types.is_struct(arrow):
            return _row(list(arrow), [value[field.name] for field in arrow])
        if pa.types.is_map(arrow):
            return {str(_plain(key)): _in_row(item, arrow.item_type) for key, item in value}
        if pa.types.is_list(arrow):
            return [_in_row(item, arrow.value_type) for item in value]
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.isoformat(timespec="microseconds")
        if isinstance(value, date):
            moment = _utc(value) if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
            return int((moment - _EPOCH).total_seconds() * 1000)
    return _plain(value)


def _map(value: Sequence[tuple[Any, Any]], arrow: pa.DataType, show: Callable[[Any, pa.DataType], Any]) -> Any:
    """A map with keys of text is an object, another one a list of its entries."""
    if pa.types.is_string(arrow.key_type):
        return {key: show(item, arrow.item_type) for key, item in value}
    return [{"key": show(key, arrow.key_type), "value": show(item, arrow.item_type)} for key, item in value]


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case float():
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Decimal():
            exponent = value.as_tuple().exponent
            return int(value) if exponent == 0 else float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def named(observed: Mapping[str, Observed]) -> dict[str, Any]:
    """All metrics of a batch as listeners get them."""
    return {name: each.named() for name, each in observed.items()}


def as_rows(observed: Mapping[str, Observed]) -> dict[str, Any]:
    """All metrics of a batch as `lastProgress` has them."""
    return {name: each.as_row() for name, each in observed.items()}
