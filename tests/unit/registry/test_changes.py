# ruff: noqa: E501
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from riacho.errors import IllegalArgumentError
from riacho.registry.avro_compat import problems
from riacho.registry.changes import SchemaState, changes, difference, refused, register
from riacho.registry.client import Reference, RegistryClient, RegistryError
from riacho.registry.wanted import WantedSchema, WantedSchemas, read
from riacho.testing.registry import MemoryRegistry


def record(*fields: dict[str, Any], name: str = "R", **more: Any) -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **more})


ID = {"name": "id", "type": "long"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
MUST = {"name": "must", "type": "string"}
E_AB = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


@pytest.mark.parametrize(
    ("written", "reading", "expected"),
    [
        (record(ID), record(ID, NOTE), []),
        (record(ID, MUST), record(ID), []),
        (record(ID), record(ID, MUST), ["must: it is new and has no default"]),
        (record(ID), record({"name": "key", "aliases": ["id"], "type": "double"}), []),
        (record(ID), record({"name": "id", "type": "int"}), ["id: long cannot be read as int"]),
        (record(ID), record({"name": "id", "type": ["null", "double"]}), []),
        (record(NOTE), record({"name": "note", "type": "string"}), ["note: null cannot be read as string"]),
        (record({"name": "u", "type": ["int", "string"]}), record({"name": "u", "type": ["long", "bytes"]}), []),
        (record(ID, name="A"), record(ID, name="B"), []),
        ('["int","string"]', '["int"]', ["the value: string is none of [int]"]),
        (json.dumps(E_AB), json.dumps({**E_AB, "symbols": ["A"]}), ["the value: the symbols B are gone, and there is no default"]),
        (json.dumps(E_AB), json.dumps({**E_AB, "symbols": ["A"], "default": "A"}), []),
        (json.dumps(E_AB), json.dumps({**E_AB, "name": "F"}), ["the value: its name was E and is F"]),
        ('{"type":"fixed","name":"F","size":2}', '{"type":"fixed","name":"F","size":3}', ["the value: its size was 2 and is 3"]),
        ('{"type":"array","items":"long"}', '{"type":"array","items":"int"}', ["element: long cannot be read as int"]),
        ('{"type":"map","values":"int"}', '{"type":"map","values":{"type":"long","logicalType":"x"}}', []),
        (
            record({"name": "next", "type": ["null", "R"]}, ID),
            record({"name": "next", "type": ["null", "R"]}, ID, MUST),
            ["must: it is new and has no default"],
        ),
        (
            record({"name": "a", "type": {"type": "record", "name": "In", "fields": [ID]}}, {"name": "b", "type": "In"}, namespace="n"),
            record({"name": "b", "type": {"type": "record", "name": "In", "fields": [ID]}}, namespace="n"),
            [],
        ),
    ],
)  # fmt: skip
def test_what_one_avro_schema_cannot_read_of_another(written: str, reading: str, expected: list[str]) -> None:
    assert problems(written, reading) == expected


def connect(registry: MemoryRegistry) -> RegistryClient:
    return RegistryClient("http://memory", transport=registry.transport())


def test_schemas_are_compared_and_registered() -> None:
    registry = MemoryRegistry(levels={"": "NONE"})
    client = connect(registry)
    first = [WantedSchema("a", record(ID), level="BACKWARD"), WantedSchema("b", '{"type":"string"}', "JSON")]
    found = changes(client, first)
    assert [(c.state, c.level, c.sets_level) for c in found] == [
        (SchemaState.NEW, "NONE", True), (SchemaState.NEW, "NONE", False),
    ]  # fmt: skip
    assert [number for _, number in register(client, found)] == [1, 2]
    assert registry.levels["a"] == "BACKWARD"
    again = changes(client, first)
    assert [c.state for c in again] == [SchemaState.SAME] * 2
    assert [number for _, number in register(client, again)] == [None, None]
    better = WantedSchema("a", record(ID, NOTE))
    assert [c.state for c in changes(client, [better])] == [SchemaState.CHANGED]
    assert difference(changes(client, [better])[0])[:2] == ["--- a version 1", "+++ here"]
    assert difference(again[0]) == []


def test_an_incompatible_schema_is_refused_before_anything_is_sent() -> None:
    registry = MemoryRegistry(levels={"": "NONE"}, refused={'{"type": "null"}'})
    client = connect(registry)
    list(
        register(
            client, changes(client, [WantedSchema("a", record(ID)), WantedSchema("b", '{"type": "string"}', "JSON")])
        )
    )
    registry.requests.clear()
    found = changes(client, [WantedSchema("n", record(ID)), WantedSchema("a", record(ID, MUST), level="BACKWARD"), WantedSchema("b", '{"type": "null"}', "JSON")])  # fmt: skip
    wrong = refused(found)
    assert [(c.wanted.subject, c.complaints) for c in wrong] == [
        ("a", ("must: it is new and has no default (reading version 1)",)), ("b", ("a field has no default",)),
    ]  # fmt: skip
    assert not [
        r
        for r in registry.requests
        if r.startswith("PUT") or (r.endswith("/versions") and r.startswith("POST /subjects"))
    ]
    forward = changes(client, [WantedSchema("a", record(), level="FULL_TRANSITIVE")])
    assert forward[0].complaints == ("id: it is new and has no default (read by version 1)",)


def test_the_old_level_comes_back_if_the_registry_refuses_at_the_new_one() -> None:
    registry = MemoryRegistry(levels={"": "NONE"}, refused={'{"type": "null"}'})
    client = connect(registry)
    client.register("b", '{"type": "string"}', "JSON")
    found = changes(client, [WantedSchema("b", '{"type": "null"}', "JSON", "FULL")])
    assert not refused(found)  # the registry compares by the level that the subject has
    with pytest.raises(RegistryError, match="The schema for b is not compatible"):
        list(register(client, found))
    assert registry.levels["b"] == "NONE"
    assert client.versions("b") == [1]


def test_a_folder_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "orders-value.avsc").write_text('"int"')
    (tmp_path / "clicks-value.json").write_text('{"type": "object"}')
    (tmp_path / "README.md").write_text("no schema")
    assert read(tmp_path) == WantedSchemas(
        (WantedSchema("clicks-value", '{"type": "object"}', "JSON"), WantedSchema("orders-value", '"int"'))
    )
    file = tmp_path / "schemas.yml"
    file.write_text(
        """
registry: http://here:8081
compatibility: backward
subjects:
  orders-value: orders-value.avsc
  other-value:
    schema: {type: string}
    compatibility: FULL
    references: [{name: n, subject: s, version: 2}]
"""
    )
    other = WantedSchema("other-value", '{"type": "string"}', level="FULL", references=(Reference("n", "s", 2),))
    assert read(file) == WantedSchemas(
        (WantedSchema("orders-value", '"int"', level="BACKWARD"), other), "http://here:8081"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no subjects"),
        ("subjects: {a: nope.avsc}", "there is no file"),
        ("subjects: {a: {type: AVRO}}", "has no schema"),
        ("subjects: {a: {schema: {type: string}, type: XML}}", "type XML is none of AVRO, JSON, PROTOBUF"),
        ("subjects: {a: {schema: {type: string}, compatibility: SOME}}", "compatibility SOME is none of BACKWARD"),
        ("subjects: {a: {schema: {type: string}, references: [1]}}", "a reference has a name, a subject and a version"),
        ("subjects: {a: {schema: {type: strings}, type: JSON}}", "is no JSON Schema: 'strings' is not valid"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "schemas.yml").write_text(text)
    with pytest.raises(IllegalArgumentError) as raised:
        read(tmp_path / "schemas.yml")
    assert message in raised.value.message
