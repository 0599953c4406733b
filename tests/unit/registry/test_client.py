from __future__ import annotations

import json

import pytest

from riacho.errors import IllegalArgumentError
from riacho.registry.client import USER, Reference, RegistryClient, RegistryError
from riacho.registry.json_schema import columns_of
from riacho.registry.references import whole
from riacho.testing.registry import MemoryRegistry

RECORD = '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"}]}'


def connect(registry: MemoryRegistry, url: str = "http://memory") -> tuple[RegistryClient, list[float]]:
    waits: list[float] = []
    return RegistryClient(url, transport=registry.transport(), sleep=waits.append), waits


def test_schemas_are_registered_and_found() -> None:
    client, _ = connect(MemoryRegistry())
    assert client.latest("orders-value") is None
    assert client.versions("orders-value") == []
    number = client.register("orders-value", RECORD)
    assert client.register("orders-value", RECORD) == number
    assert client.find("orders-value", RECORD) == number
    assert client.find("orders-value", '"int"') is None
    found = client.version("orders-value")
    assert (found.id, found.version, found.kind, found.text) == (number, 1, "AVRO", RECORD)
    assert client.latest("orders-value") == found
    assert client.subjects() == ["orders-value"]
    assert client.by_id(number).text == RECORD
    with pytest.raises(RegistryError, match="status 404: Version 7 not found") as refused:
        client.version("orders-value", 7)
    assert (refused.value.status, refused.value.code) == (404, 40402)


def test_a_schema_is_fetched_by_id_once() -> None:
    registry = MemoryRegistry()
    client, _ = connect(registry)
    number = client.register("a/b value", RECORD)
    registry.requests.clear()
    assert client.by_id(number) is client.by_id(number)
    assert registry.requests == [f"GET /schemas/ids/{number}"]
    assert client.versions("a/b value") == [1]


def test_levels_and_complaints() -> None:
    registry = MemoryRegistry(refused={'"int"'})
    client, _ = connect(registry)
    assert client.level("orders-value") is None
    client.set_level("orders-value", "FULL")
    assert client.level("orders-value") == "FULL"
    assert client.complaints("orders-value", '"int"') == []  # there is nothing to compare it with
    client.register("orders-value", RECORD)
    assert client.complaints("orders-value", '"int"') == ["a field has no default"]
    assert client.complaints("orders-value", RECORD) == []
    with pytest.raises(RegistryError, match="409: Schema being registered is incompatible"):
        client.register("orders-value", '"int"')


def test_what_may_pass_is_tried_again_and_not_for_ever() -> None:
    registry = MemoryRegistry(failures=[503, 429])
    client, waits = connect(registry)
    assert client.subjects() == []
    assert waits == [0.2, 0.5]
    registry.failures += [500] * 9
    with pytest.raises(RegistryError, match="status 500: not now"):
        client.subjects()
    assert waits == [0.2, 0.5, 0.2, 0.5, 1.0, 2.0]
    registry.failures = [401]
    with pytest.raises(RegistryError, match=f"status 401: not now. Set {USER}"):
        client.subjects()
    assert len(waits) == 6


def test_a_registry_that_is_not_there_is_named() -> None:
    waits: list[float] = []
    client = RegistryClient("http://127.0.0.1:9/apis", limit_s=1, sleep=waits.append)
    with pytest.raises(
        RegistryError, match=r"The schema registry at http://127.0.0.1:9/apis cannot be reached: .*refused"
    ):
        client.subjects()
    assert len(waits) == 4
    with pytest.raises(IllegalArgumentError, match="must begin with http"):
        RegistryClient("registry:8081")


def test_passwords_come_from_the_address_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Authorization"))
        return httpx.Response(200, json=[])

    monkeypatch.setenv(USER, "env:secret")
    for url in ("http://u:p@memory/x/", "http://memory"):
        client = RegistryClient(url, transport=httpx.MockTransport(answer))
        assert "@" not in client.url
        client.subjects()
    RegistryClient("http://memory", auth=("a", "b"), transport=httpx.MockTransport(answer)).subjects()
    expected = [httpx.BasicAuth(*pair)._auth_header for pair in (("u", "p"), ("env", "secret"), ("a", "b"))]
    assert asked == expected


def test_references_are_put_where_they_are_used() -> None:
    client, _ = connect(MemoryRegistry())
    kind = '{"type":"enum","name":"Kind","namespace":"shop","symbols":["A"]}'
    client.register("kind", kind)
    money = '{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"kind","type":"Kind"}]}'
    client.register("money", money, references=[Reference("shop.Kind", "kind", 1)])
    order = '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"a","type":["null","Money"]},{"name":"b","type":"shop.Money"},{"name":"k","type":"Kind"}]}'  # noqa: E501
    client.register("order", order, references=[Reference("shop.Money", "money", 1)])
    text = json.loads(whole(client, client.version("order")))
    inlined = text["fields"][0]["type"][1]
    assert inlined["name"] == "Money"
    assert inlined["fields"][0]["type"]["symbols"] == ["A"]
    assert [text["fields"][1]["type"], text["fields"][2]["type"]] == ["shop.Money", "shop.Kind"]

    client.register("part", '{"type":"object","properties":{"n":{"type":"integer"}}}', "JSON")
    refers = '{"type":"object","properties":{"p":{"$ref":"part.json"}}}'
    client.register("json", refers, "JSON", [Reference("part.json", "part", 1)])
    assert columns_of(whole(client, client.version("json"))) == "STRUCT<`p`: STRUCT<`n`: BIGINT>>"


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        ({"type": "integer"}, "BIGINT"),
        ({"type": ["null", "number"]}, "DOUBLE"),
        ({"type": ["integer", "string"]}, "STRING"),
        ({"type": "array", "items": {"type": "boolean"}}, "ARRAY<BOOLEAN>"),
        ({"type": "array"}, "ARRAY<STRING>"),
        ({"type": "object"}, "STRING"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "MAP<STRING, BIGINT>"),
        ({"properties": {"a b": {"enum": ["x"]}}}, "STRUCT<`a b`: STRING>"),
        ({"oneOf": [{"type": "null"}, {"type": "integer"}]}, "BIGINT"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "STRING"),
        (
            {
                "$ref": "#/definitions/p",
                "definitions": {"p": {"type": "object", "properties": {"n": {"type": "number"}}}},
            },
            "STRUCT<`n`: DOUBLE>",
        ),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}}], "type": "object", "properties": {"b": {}}},
            "STRUCT<`b`: STRING, `a`: BIGINT>",
        ),
    ],
)
def test_json_schemas_as_columns(schema: object, columns: str) -> None:
    assert columns_of(json.dumps(schema)) == columns


def test_text_that_is_no_json_schema() -> None:
    with pytest.raises(IllegalArgumentError, match="not JSON"):
        columns_of("{")
