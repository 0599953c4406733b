"""A schema together with the schemas that it refers to, as one text that needs no registry."""

from __future__ import annotations

import json
from typing import Any, Final

from riacho.registry.client import AVRO, JSON, RegisteredSchema, RegistryClient, RegistryError

_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})


def whole(client: RegistryClient, schema: RegisteredSchema) -> str:
    """The text of a schema with all that it refers to inside it. Raises RegistryError."""
    if not schema.references:
        return schema.text
    if schema.kind == AVRO:
        return json.dumps(_AvroWhole(_definitions(client, schema)).of(json.loads(schema.text), ""))
    if schema.kind == JSON:
        parts = _texts(client, schema)
        return json.dumps(
            _json_whole(json.loads(schema.text), {name: json.loads(text) for name, text in parts.items()})
        )
    raise RegistryError(f"Schemas of the kind {schema.kind} that refer to others are not supported")


def _texts(client: RegistryClient, schema: RegisteredSchema) -> dict[str, str]:
    """The texts that a schema refers to, those that they refer to first, by the name that is used for them."""
    found: dict[str, str] = {}
    for reference in schema.references:
        other = client.version(reference.subject, reference.version)
        found.update(_texts(client, other))
        found[reference.name] = other.text
    return found


def _definitions(client: RegistryClient, schema: RegisteredSchema) -> dict[str, Any]:
    """The definition of each named type in what a schema refers to, by its full name."""
    found: dict[str, Any] = {}
    for text in _texts(client, schema).values():
        _collect(json.loads(text), "", found)
    return found


def _collect(node: Any, namespace: str, found: dict[str, Any]) -> None:
    if isinstance(node, list):
        for branch in node:
            _collect(branch, namespace, found)
    elif isinstance(node, dict):
        kind = node.get("type")
        if kind in _NAMED:
            name, namespace = _full(node, namespace)
            found.setdefault(name, {**node, "name": name.rpartition(".")[2], "namespace": namespace})
            for field in node.get("fields", ()):
                _collect(field["type"], namespace, found)
        elif kind in ("array", "map"):
            _collect(node["items" if kind == "array" else "values"], namespace, found)
        else:
            _collect(kind, namespace, found)


def _full(node: dict[str, Any], namespace: str) -> tuple[str, str]:
    """The full name of a named type, and the namespace of what is in it."""
    space, _, name = node["name"].rpartition(".")
    space = space or node.get("namespace", namespace)
    return (f"{space}.{name}" if space else name), space


class _AvroWhole:
    """Puts the definition of each name in the place where it is first used."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._known: set[str] = set()

    def of(self, node: Any, namespace: str) -> Any:
        if isinstance(node, str):
            return self._named(node, namespace)
        if isinstance(node, list):
            return [self.of(branch, namespace) for branch in node]
        kind = node.get("type")
        if kind in _NAMED:
            name, inside = _full(node, namespace)
            self._known.add(name)
            if "fields" not in node:
                return node
            return {**node, "fields": [{**f, "type": self.of(f["type"], inside)} for f in node["fields"]]}
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return {**node, part: self.of(node[part], namespace)}
        if isinstance(kind, str) and kind in _PRIMITIVES:
            return node
        return {**node, "type": self.of(kind, namespace)} if len(node) > 1 else self.of(kind, namespace)

    def _named(self, name: str, namespace: str) -> Any:
        if name in _PRIMITIVES:
            return name
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for wanted in (full, name):
            if wanted in self._known:
                return wanted
            if wanted in self._definitions:
                return self.of(self._definitions[wanted], namespace)
        return name


def _json_whole(node: Any, parts: dict[str, Any]) -> Any:
    """JSON Schema: a `$ref` to the name of a reference becomes what it refers to."""
    if isinstance(node, list):
        return [_json_whole(element, parts) for element in node]
    if not isinstance(node, dict):
        return node
    target = node.get("$ref")
    if isinstance(target, str) and target in parts:
        rest = {name: part for name, part in parts.items() if name != target}  # no reference refers to itself
        return _json_whole(parts[target], rest)
    return {key: _json_whole(value, parts) for key, value in node.items()}
