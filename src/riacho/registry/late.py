"""Messages whose schema was registered after a query had started: their schemas are fetched where the messages are.

`late_reader` makes a function on columns for that. It travels to the server by value and needs nothing there until such
a message comes; then it needs riacho with the extra `registry`, which a riacho server is, and a Spark worker may have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.errors import SparkGeneralError
from riacho.registry.client import AVRO, RegistryClient, RegistryError
from riacho.registry.references import whole
from riacho.server.formats.avro.decode import AvroDecoder, decoder

if TYPE_CHECKING:
    from pyspark.sql import Column

_HEADER: Final = 5
_LONGEST: Final = 1 << 30
_MISSING: Final = (
    "A message names a schema that was registered after the query had started, and riacho is not installed where it "
    "could be fetched (pip install 'riacho[registry]' for Spark's Python workers). Start the query again: it goes on "
    "where it was, with the new schema."
)


def late_reader(registry: RegistryClient, wanted: str, options: Mapping[str, str]) -> Callable[[Column], Column]:
    """A function that reads messages with the schemas that they name, as values of the schema `wanted`.

    While it runs, it raises what `read_late` raises, and RuntimeError where riacho is not installed.
    """
    from pyspark.sql.functions import arrow_udf  # type: ignore[attr-defined]
    from pyspark.sql.types import StructType

    own = {**options, "avroSchema": wanted}
    kind = AvroDecoder(wanted, own, "from_confluent").type
    url, auth, missing = registry.url, registry.auth, _MISSING
    given = tuple(sorted(own.items()))

    def read(column: pa.Array) -> pa.Array:
        if column.null_count == len(column):
            return pa.nulls(len(column), kind)
        try:
            from riacho.registry.late import read_late
        except ImportError:
            raise RuntimeError(missing) from None
        return read_late(column, kind, url, auth, given)

    declared = StructType.fromJson(_json(kind)).fields[0].dataType
    return arrow_udf(read, declared)  # type: ignore[no-any-return]


def _json(kind: pa.DataType) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(types.to_json(pa.schema([pa.field("x", kind)])))
    return found


def read_late(
    column: pa.Array, kind: pa.DataType, url: str, auth: tuple[str, str] | None, options: tuple[tuple[str, str], ...]
) -> pa.Array:
    """The values of messages in Confluent's wire format; null for null.

    Raises RegistryError for a schema that the registry does not have, SparkGeneralError for a message that is damaged
    or in another format, unless the mode says PERMISSIVE.
    """
    permissive = {key.lower(): value for key, value in options}.get("mode", "FAILFAST").upper() != "FAILFAST"
    column = column.cast(pa.binary())
    framed = pc.and_(pc.greater_equal(pc.binary_length(column), _HEADER), pc.starts_with(column, b"\0"))
    if not permissive and pc.any(pc.invert(framed)).as_py():
        raise SparkGeneralError("A message is not in Confluent's wire format: it begins with no zero byte and no id.")
    places = np.flatnonzero(framed.fill_null(False).to_numpy(zero_copy_only=False))
    messages = column.take(pa.array(places))
    heads = pc.binary_slice(messages, 1, _HEADER)
    parts, order = [], [np.zeros(0, np.int64)]
    for head in pc.unique(heads).to_pylist():
        own = pc.equal(heads, head)
        body = pc.binary_slice(messages.filter(own), _HEADER, _LONGEST)
        found = _decoded(body, int.from_bytes(head, "big"), url, auth, options, permissive=permissive)
        if found is not None:
            parts.append(found)
            order.append(places[np.flatnonzero(own.to_numpy(zero_copy_only=False))])
    if not parts:
        return pa.nulls(len(column), kind)
    index = np.full(len(column), -1)
    index[np.concatenate(order)] = np.arange(sum(map(len, parts)))
    return pa.concat_arrays(parts).take(pa.array(index, mask=index < 0))


def _decoded(
    body: pa.Array,
    number: int,
    url: str,
    auth: tuple[str, str] | None,
    options: tuple[tuple[str, str], ...],
    *,
    permissive: bool,
) -> pa.Array | None:
    """The values of messages of one schema; None if there is none of that id, and that may be."""
    client = _client(url, auth)
    try:
        schema = client.by_id(number)
    except RegistryError as error:
        if permissive and error.status == 404:
            return None
        raise
    if schema.kind != AVRO:
        raise SparkGeneralError(f"A message names the schema {number}, which is {schema.kind} and not Avro.")
    return decoder(whole(client, schema), options).decode(body)


@lru_cache(maxsize=16)
def _client(url: str, auth: tuple[str, str] | None) -> RegistryClient:
    """One client for a registry in this process, so that a schema is fetched once."""
    return RegistryClient(url, auth=auth)
