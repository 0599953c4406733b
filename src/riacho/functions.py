"""Functions on columns that work on riacho and on any Spark server alike.

They are made of Spark's own functions when they are called, where the program runs; the server needs nothing.

    from riacho.functions import from_confluent, to_confluent

    events = (spark.readStream.format("kafka").option("subscribe", "orders").load()
        .select(from_confluent("value", "http://registry:8081", subject="orders-value").alias("order"))
        .select("order.*"))

Messages in Confluent's wire format begin with a zero byte and the id of the schema that wrote them, in four bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro, to_avro

from riacho.errors import IllegalArgumentError
from riacho.registry.client import AVRO, JSON, RegisteredSchema, RegistryClient, RegistryError
from riacho.registry.json_schema import columns_of
from riacho.registry.references import whole

if TYPE_CHECKING:
    from pyspark.sql import Column

_HEADER: Final = 5
_LONGEST: Final = 2**31 - 1 - _HEADER
_OPTIONS_OF_JSON: Final = frozenset({"mode"})


def from_confluent(
    column: Column | str,
    registry: str | RegistryClient,
    subject: str | Sequence[str] | None = None,
    *,
    topic: str | None = None,
    version: int | str = "latest",
    schema: str | None = None,
    options: Mapping[str, str] | None = None,
    late: str = "stop",
) -> Column:
    """The value of a message in Confluent's wire format, Avro or JSON Schema.

    `registry`: its address, or a client. `subject`: whose schemas the messages are written with, or `topic` for
    `TOPIC-value`; of several subjects, the first is read. Each message is read with the schema that it names and
    becomes a value of `version` of the subject, or of `schema`, which is Avro's text. `options`: those of `from_avro`;
    with the mode PERMISSIVE, a message that is damaged, or not in this format, is null.

    The registry is asked once, now. A message whose schema was registered later stops a query, and says so; start the
    query again, and it goes on where it was. With `late="fetch"`, such schemas are fetched while the query runs, each
    once, by Python workers, which need `riacho[registry]` for it. Null stays null.

    Raises RegistryError, IllegalArgumentError.
    """
    if late not in ("stop", "fetch"):
        raise IllegalArgumentError(f"late is 'stop' or 'fetch', not {late!r}")
    client = _client(registry)
    subjects = _subjects(subject, topic)
    value = F.col(column) if isinstance(column, str) else column
    read = client.version(subjects[0], version)
    given = {key.lower(): text for key, text in (options or {}).items()}
    if read.kind == JSON:
        return _from_json(value, whole(client, read), schema, given)
    if read.kind != AVRO:
        raise IllegalArgumentError(f"The schemas of {subjects[0]} are {read.kind}; only Avro and JSON Schema are read")
    wanted = schema or whole(client, read)
    written = _versions(client, subjects)
    chosen = _by_id(client, value, written, wanted, options or {})
    if late == "fetch":
        from riacho.registry.late import late_reader

        known = F.substring(value, 1, _HEADER).isin([F.lit(_header(schema.id)) for schema in written])
        return chosen.otherwise(late_reader(client, wanted, options or {})(F.when(~known, value)))
    if given.get("mode", "FAILFAST").upper() == "FAILFAST":
        chosen = chosen.when(value.isNotNull(), F.raise_error(_unknown(value, subjects)))
    return chosen


def _by_id(
    client: RegistryClient,
    value: Column,
    written: Sequence[RegisteredSchema],
    wanted: str,
    options: Mapping[str, str],
) -> Column:
    """A branch for each schema that messages may be written with; all give values of the schema `wanted`."""
    header, body = F.substring(value, 1, _HEADER), F.substring(value, _HEADER + 1, _LONGEST)
    chosen: Column | None = None
    for known in written:
        text = whole(client, known)
        decoded = from_avro(body, text, {**options, **({} if text == wanted else {"avroSchema": wanted})})
        is_it = header == F.lit(_header(known.id))
        chosen = F.when(is_it, decoded) if chosen is None else chosen.when(is_it, decoded)
    assert chosen is not None  # the version that is read is among them
    return chosen


def to_confluent(
    column: Column | str,
    registry: str | RegistryClient,
    subject: str | None = None,
    *,
    topic: str | None = None,
    version: int | str = "latest",
    schema: str | None = None,
    register: bool = False,
) -> Column:
    """A value as a message in Confluent's wire format, written with `version` of a subject; null stays null.

    With `schema` (Avro's text), it is written with that, which the subject must have, unless `register` is to add it;
    the registry refuses one that is not compatible. See `from_confluent` for the other parameters.

    Raises RegistryError, IllegalArgumentError.
    """
    client = _client(registry)
    [of] = _subjects(subject, topic)
    value = F.col(column) if isinstance(column, str) else column
    if schema is None:
        found = client.version(of, version)
    else:
        found = RegisteredSchema(_id_of(client, of, schema, register=register), schema)
    if found.kind == JSON:
        return F.concat(F.lit(_header(found.id)), F.to_json(value).cast("binary"))
    if found.kind != AVRO:
        raise IllegalArgumentError(f"The schemas of {of} are {found.kind}; only Avro and JSON Schema are written")
    return F.when(value.isNotNull(), F.concat(F.lit(_header(found.id)), to_avro(value, whole(client, found))))


def _client(registry: str | RegistryClient) -> RegistryClient:
    return RegistryClient(registry) if isinstance(registry, str) else registry


def _subjects(subject: str | Sequence[str] | None, topic: str | None) -> list[str]:
    if (subject is None) == (topic is None):
        raise IllegalArgumentError("Give either the subject, or the topic whose values these are.")
    if topic is not None:
        return [f"{topic}-value"]
    return [subject] if isinstance(subject, str) else list(subject or ())


def _versions(client: RegistryClient, subjects: Sequence[str]) -> list[RegisteredSchema]:
    """All schemas of the subjects, each id once, the newest first: most messages are written with that."""
    found: dict[int, RegisteredSchema] = {}
    for subject in subjects:
        for number in reversed(client.versions(subject)):
            known = client.version(subject, number)
            if known.kind == AVRO:
                found.setdefault(known.id, known)
    return list(found.values())


def _id_of(client: RegistryClient, subject: str, schema: str, *, register: bool) -> int:
    if register:
        return client.register(subject, schema)
    found = client.find(subject, schema)
    if found is None:
        raise RegistryError(
            f"The subject {subject} does not have the schema that was given. Register it first (riacho schemas "
            "register), or pass register=True."
        )
    return found


def _header(id: int) -> bytearray:
    return bytearray(b"\0" + id.to_bytes(4, "big"))


def _unknown(value: Column, subjects: Sequence[str]) -> Column:
    """What is wrong with a message whose header is none of those that are known."""
    known = ", ".join(subjects)
    shown = F.hex(F.substring(value, 1, _HEADER))
    return F.concat(
        F.lit("A message does not begin with the id of a schema of "),
        F.lit(f"{known}, as of when the query started. Its first bytes are "),
        shown,
        F.lit(". If the schema is newer, start the query again; if such messages may be skipped, use mode PERMISSIVE."),
    )


def _from_json(value: Column, text: str, schema: str | None, options: Mapping[str, str]) -> Column:
    if schema is not None or not options.keys() <= _OPTIONS_OF_JSON:
        raise IllegalArgumentError("JSON Schema is read without a schema of your own and without options but the mode.")
    body = F.substring(value, _HEADER + 1, _LONGEST).cast("string")
    is_framed = F.substring(value, 1, 1) == F.lit(bytearray(1))
    chosen = F.when(is_framed, F.from_json(body, columns_of(text)))
    if options.get("mode", "FAILFAST").upper() == "FAILFAST":
        told = "A message is not in Confluent's wire format: its first byte is not 0, but "
        shown = F.concat(F.lit(told), F.hex(F.substring(value, 1, 1)))
        chosen = chosen.when(value.isNotNull(), F.raise_error(shown))
    return chosen
