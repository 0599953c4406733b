"""A JSON Schema as Spark's columns, for `from_json`: what it does not say, or says in several ways, is read as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from riacho.errors import IllegalArgumentError
from riacho.identifiers import quote

_SIMPLE: Final = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "string": "STRING"}
_TEXT: Final = "STRING"
_DEEPEST: Final = 15
"""How deep a schema that refers to itself is followed."""


def columns_of(text: str) -> str:
    """The type as DDL: `STRUCT<…>` of an object. Raises IllegalArgumentError for text that is no JSON Schema."""
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise IllegalArgumentError(f"The JSON Schema is not JSON: {error}") from None
    return _type(schema, schema if isinstance(schema, dict) else {}, 0)


def _type(schema: Any, root: Mapping[str, Any], depth: int) -> str:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return _TEXT
    if "$ref" in schema:
        target = _target(schema["$ref"], root)
        return _TEXT if target is None else _type(target, root, depth + 1)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            known = [branch for branch in schema[several] if not _is_null(branch)]
            return _type(known[0], root, depth + 1) if len(known) == 1 else _TEXT
    if "allOf" in schema:
        return _type(_merged(schema, root), root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        known = [name for name in kind if name != "null"]
        kind = known[0] if len(known) == 1 else None
    if kind is None and "properties" in schema:
        kind = "object"
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            items = schema.get("items")
            return f"ARRAY<{_type(items, root, depth + 1)}>"
        case _:
            return _SIMPLE.get(kind or "", _TEXT)


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    properties = schema.get("properties") or {}
    if properties:
        fields = (f"{quote(name)}: {_type(part, root, depth + 1)}" for name, part in properties.items())
        return f"STRUCT<{', '.join(fields)}>"
    others = schema.get("additionalProperties")
    return f"MAP<STRING, {_type(others, root, depth + 1)}>" if isinstance(others, dict) else _TEXT


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """What `#/definitions/name` and the like refer to; None for anything else."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for step in reference[1:].strip("/").split("/"):
        if step:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
    return found


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """One object with the properties of all parts of `allOf`."""
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    properties = dict(merged.get("properties") or {})
    for part in schema["allOf"]:
        found = _target(part["$ref"], root) if isinstance(part, dict) and "$ref" in part else part
        if isinstance(found, dict):
            properties.update(found.get("properties") or {})
            merged.setdefault("type", found.get("type"))
    return {**merged, "properties": properties} if properties else merged
