"""Avro schemas: read from JSON, and written as JSON the way Java's Avro writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from riacho.errors import AvroSchemaError

PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NAMED: Final = frozenset({"record", "enum", "fixed"})
_OWN: Final = frozenset(
    {"type", "name", "namespace", "doc", "aliases", "fields", "symbols", "default", "items", "values", "size"}
)
_LOGICAL_OF: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset({"date", "time-millis"}),
    "long": frozenset(
        {
            "timestamp-millis",
            "timestamp-micros",
            "timestamp-nanos",
            "local-timestamp-millis",
            "local-timestamp-micros",
            "local-timestamp-nanos",
            "time-micros",
            "custom-decimal",
        }
    ),
    "string": frozenset({"uuid"}),
    "bytes": frozenset({"decimal", "big-decimal"}),
    "fixed": frozenset({"decimal", "uuid", "duration"}),
}
"""The logical types that each type can have; any other is ignored, as the specification says."""


class NoDefault:
    """Stands for a field without a default: null is one."""


@dataclass
class Field:
    """A field of a record. `default`: `NoDefault` if there is none."""

    name: str
    schema: Schema
    default: object = NoDefault
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    others: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Schema:
    """One type. `kind` is Avro's word for it; the other attributes are those of that kind.

    A record may contain itself, so two schemas are the same only if they are the same object.
    """

    kind: str
    name: str = ""
    namespace: str = ""
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    fields: list[Field] = field(default_factory=list)
    symbols: tuple[str, ...] = ()
    default: str | None = None
    items: Schema | None = None
    branches: list[Schema] = field(default_factory=list)
    size: int = 0
    logical: str | None = None
    precision: int = 0
    scale: int = 0
    others: dict[str, Any] = field(default_factory=dict)
    """Properties that Avro itself gives no meaning."""

    @property
    def full_name(self) -> str:
        """The name with its namespace; of a type that has none, its kind."""
        if self.kind not in NAMED:
            return self.kind
        return f"{self.namespace}.{self.name}" if self.namespace else self.name

    @property
    def short_name(self) -> str:
        return self.name if self.kind in NAMED else self.kind

    @property
    def item(self) -> Schema:
        """The type of the elements of an array, or of the values of a map."""
        assert self.items is not None
        return self.items

    @property
    def known(self) -> list[Schema]:
        """The branches of a union that are not null."""
        return [branch for branch in self.branches if branch.kind != "null"]

    @property
    def has_null(self) -> bool:
        return self.kind == "union" and any(branch.kind == "null" for branch in self.branches)

    def text(self, indent: int | None = None) -> str:
        """The schema as JSON: compact, or on lines of their own with `indent` as Java's `toString(true)` has it."""
        shown = _json(self, "", set())
        if indent is None:
            return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
        return _pretty(shown, "")


def simple(kind: str) -> Schema:
    """The schema of a type without parts."""
    return Schema(kind)


def union(branches: Sequence[Schema]) -> Schema:
    return Schema("union", branches=list(branches))


def parse(text: str) -> Schema:
    """The schema in JSON text. Raises AvroSchemaError."""
    try:
        node = json.loads(text)
    except ValueError as error:
        raise AvroSchemaError(f"The Avro schema is not JSON: {error}: {_short(text)}") from None
    return _SchemaParser().schema(node, "")


class _SchemaParser:
    def __init__(self) -> None:
        self._named: dict[str, Schema] = {}

    def schema(self, node: Any, namespace: str) -> Schema:
        if isinstance(node, str):
            return self._by_name(node, namespace)
        if isinstance(node, list):
            return self._union(node, namespace)
        if not isinstance(node, dict):
            raise AvroSchemaError(f"No type: {json.dumps(node)}")
        kind = node.get("type")
        if kind is None:
            raise AvroSchemaError(f"No type: {json.dumps(node)}")
        if isinstance(kind, list | dict):
            return self.schema(kind, namespace)
        if kind in PRIMITIVES:
            made = Schema(kind)
        elif kind == "error":
            made = self._named_type({**node, "type": "record"}, namespace)
        elif kind in NAMED:
            made = self._named_type(node, namespace)
        elif kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            if part not in node:
                raise AvroSchemaError(f"{kind.capitalize()} has no {part} type: {json.dumps(node)}")
            made = Schema(kind, items=self.schema(node[part], namespace))
        elif isinstance(kind, str):
            return self._by_name(kind, namespace)
        else:
            raise AvroSchemaError(f"No type: {json.dumps(node)}")
        made.others = {key: value for key, value in node.items() if key not in _OWN}
        _read_logical(made)
        return made

    def _by_name(self, name: str, namespace: str) -> Schema:
        if name in PRIMITIVES:
            return Schema(name)
        found = self._named.get(f"{namespace}.{name}" if namespace and "." not in name else name)
        found = found or self._named.get(name)
        if found is None:
            raise AvroSchemaError(f'"{name}" is not a defined name. The type must be a name defined before it is used.')
        return found

    def _union(self, nodes: list[Any], namespace: str) -> Schema:
        branches = [self.schema(node, namespace) for node in nodes]
        seen: set[str] = set()
        for branch in branches:
            if branch.kind == "union":
                raise AvroSchemaError(f"Nested union: {json.dumps(nodes)}")
            if branch.full_name in seen:
                raise AvroSchemaError(f"Duplicate in union:{branch.full_name}")
            seen.add(branch.full_name)
        return union(branches)

    def _named_type(self, node: Mapping[str, Any], namespace: str) -> Schema:
        kind, given = node["type"], node.get("name")
        if not isinstance(given, str) or not given:
            raise AvroSchemaError(f"No name in schema: {json.dumps(node)}")
        space, _, name = given.rpartition(".")
        space = space or node.get("namespace", namespace) or ""
        _check_name(name)
        aliases = tuple(a if "." in a or not space else f"{space}.{a}" for a in node.get("aliases", ()))
        made = Schema(kind, name=name, namespace=space, aliases=aliases, doc=node.get("doc"))
        if made.full_name in self._named:
            raise AvroSchemaError(f"Can't redefine: {made.full_name}")
        self._named[made.full_name] = made
        if kind == "record":
            made.fields = list(self._fields(node, space))
        elif kind == "enum":
            symbols = node.get("symbols")
            if not isinstance(symbols, list):
                raise AvroSchemaError(f"Enum has no symbols: {json.dumps(node)}")
            made.symbols, made.default = tuple(symbols), node.get("default")
        else:
            size = node.get("size")
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise AvroSchemaError(f"Invalid or no size: {json.dumps(node)}")
            made.size = size
        return made

    def _fields(self, node: Mapping[str, Any], namespace: str) -> Iterator[Field]:
        given = node.get("fields")
        if not isinstance(given, list):
            raise AvroSchemaError(f"Record has no fields: {json.dumps(node)}")
        seen: set[str] = set()
        for part in given:
            name = part.get("name") if isinstance(part, dict) else None
            if not isinstance(name, str):
                raise AvroSchemaError(f"No field name: {json.dumps(part)}")
            if "type" not in part:
                raise AvroSchemaError(f"No field type: {json.dumps(part)}")
            _check_name(name)
            if name in seen:
                raise AvroSchemaError(f"Duplicate field {name} in record {node['name']}")
            seen.add(name)
            # A logical type may stand beside the type, in the field itself, where the specification ignores it.
            schema = self.schema(part["type"], namespace)
            others = {k: v for k, v in part.items() if k not in ("name", "type", "default", "aliases", "doc", "order")}
            default = part.get("default", NoDefault)
            yield Field(name, schema, default, tuple(part.get("aliases", ())), part.get("doc"), others)


def _read_logical(schema: Schema) -> None:
    logical = schema.others.get("logicalType")
    if logical not in _LOGICAL_OF.get(schema.kind, ()):
        return
    if logical in ("decimal", "custom-decimal"):
        precision, scale = schema.others.get("precision"), schema.others.get("scale", 0)
        if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= precision or not precision:
            return
        if schema.kind == "fixed" and precision > _digits(schema.size):
            return
        schema.precision, schema.scale = precision, scale
    schema.logical = logical


def _digits(size: int) -> int:
    """The most decimal digits that always fit into so many bytes."""
    return len(str((1 << (8 * size - 1)) - 1)) - 1 if size else 0


def _check_name(name: str) -> None:
    if not name:
        raise AvroSchemaError("Empty name")
    if not (name[0].isalpha() or name[0] == "_"):
        raise AvroSchemaError(f"Illegal initial character: {name}")
    if not all(character.isalnum() or character == "_" for character in name):
        raise AvroSchemaError(f"Illegal character in: {name}")


def check_names(schema: Schema) -> None:
    """Whether every name in a schema that was made here is one for Avro. Raises AvroSchemaError."""
    if schema.kind in NAMED:
        _check_name(schema.name)
    for part in schema.fields:
        _check_name(part.name)
        check_names(part.schema)
    for below in (*schema.branches, *([schema.items] if schema.items else [])):
        check_names(below)


def _json(schema: Schema, namespace: str, seen: set[str]) -> Any:
    if schema.kind == "union":
        return [_json(branch, namespace, seen) for branch in schema.branches]
    if schema.kind not in NAMED:
        if schema.kind in PRIMITIVES:
            return {"type": schema.kind, **schema.others} if schema.others else schema.kind
        part = "items" if schema.kind == "array" else "values"
        return {"type": schema.kind, part: _json(schema.item, namespace, seen), **schema.others}
    if schema.full_name in seen:
        return schema.name if schema.namespace == namespace else schema.full_name
    seen.add(schema.full_name)
    shown: dict[str, Any] = {"type": schema.kind, "name": schema.name}
    if schema.namespace != namespace:
        shown["namespace"] = schema.namespace
    if schema.doc is not None:
        shown["doc"] = schema.doc
    if schema.kind == "record":
        shown["fields"] = [_json_field(part, schema.namespace, seen) for part in schema.fields]
    elif schema.kind == "enum":
        shown["symbols"] = list(schema.symbols)
        if schema.default is not None:
            shown["default"] = schema.default
    else:
        shown["size"] = schema.size
    shown.update(schema.others)
    if schema.aliases:
        prefix = f"{schema.namespace}."
        shown["aliases"] = [alias.removeprefix(prefix) if schema.namespace else alias for alias in schema.aliases]
    return shown


def _json_field(part: Field, namespace: str, seen: set[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": part.name, "type": _json(part.schema, namespace, seen)}
    if part.doc is not None:
        shown["doc"] = part.doc
    if part.default is not NoDefault:
        shown["default"] = part.default
    shown.update(part.others)
    if part.aliases:
        shown["aliases"] = list(part.aliases)
    return shown


def _pretty(node: Any, margin: str) -> str:
    """JSON as Jackson's pretty printer writes it."""
    inner = margin + "  "
    if isinstance(node, dict):
        if not node:
            return "{ }"
        lines = [f"{inner}{json.dumps(key)} : {_pretty(value, inner)}" for key, value in node.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(node, list):
        return "[ " + ", ".join(_pretty(value, margin) for value in node) + " ]" if node else "[ ]"
    return json.dumps(node, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
