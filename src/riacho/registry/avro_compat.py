"""Whether values written with one Avro schema can be read with another, as Avro's specification says.

A registry says the same, but only for the level that a subject has now; this says it before a level is set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PROMOTIONS: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})


def problems(written: str, reading: str) -> list[str]:
    """Why values written with the first schema cannot all be read with the second; nothing if they can.

    Raises ValueError for text that is not JSON.
    """
    return list(_Comparison(_NamedTypes(json.loads(written)), _NamedTypes(json.loads(reading))).of_roots())


class _NamedTypes:
    """A schema, and the definitions of its names."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._known: dict[str, dict[str, Any]] = {}
        self._read(root, "")

    def _read(self, node: Any, namespace: str) -> None:
        if isinstance(node, list):
            for branch in node:
                self._read(branch, namespace)
        elif isinstance(node, dict):
            kind = node.get("type")
            if kind in _NAMED:
                space, _, name = str(node.get("name", "")).rpartition(".")
                namespace = space or node.get("namespace", namespace)
                node["__full"] = f"{namespace}.{name}" if namespace else name
                node["__space"] = namespace
                self._known[node["__full"]] = node
                for field in node.get("fields", ()):
                    self._read(field.get("type"), namespace)
            elif kind in ("array", "map"):
                self._read(node.get("items", node.get("values")), namespace)
            else:
                self._read(kind, namespace)

    def meant(self, node: Any, namespace: str) -> Any:
        """What a node stands for: a name is the type that it names, `{"type": x}` is x."""
        if isinstance(node, str):
            return self._known.get(f"{namespace}.{node}") or self._known.get(node) or {"type": node}
        if isinstance(node, dict) and isinstance(node.get("type"), dict | list):
            return self.meant(node["type"], namespace)
        if isinstance(node, dict) and node.get("type") not in _NAMED and isinstance(node.get("type"), str):
            named = self._known.get(node["type"])
            return named or node
        return node


class _Comparison:
    def __init__(self, writer: _NamedTypes, reader: _NamedTypes) -> None:
        self._writer = writer
        self._reader = reader
        self._seen: set[tuple[str, str]] = set()

    def of_roots(self) -> Iterator[str]:
        yield from self._of(self._writer.root, "", self._reader.root, "", "")

    def _of(self, written: Any, written_space: str, reading: Any, reading_space: str, path: str) -> Iterator[str]:
        writer = self._writer.meant(written, written_space)
        reader = self._reader.meant(reading, reading_space)
        if isinstance(writer, list):
            for branch in writer:
                yield from self._of(branch, written_space, reader, reading_space, path)
            return
        if isinstance(reader, list):
            if all(any(True for _ in self._of(writer, written_space, b, reading_space, path)) for b in reader):
                yield f"{path or 'the value'}: {_shown(writer)} is none of {_shown(reader)}"
            return
        kind, wanted = writer["type"], reader["type"]
        if kind != wanted:
            if wanted not in _PROMOTIONS.get(kind, ()):
                yield f"{path or 'the value'}: {_shown(writer)} cannot be read as {_shown(reader)}"
            return
        yield from self._alike(writer, written_space, reader, reading_space, path)

    def _alike(
        self, writer: dict[str, Any], written_space: str, reader: dict[str, Any], reading_space: str, path: str
    ) -> Iterator[str]:
        """Two types of one kind."""
        match writer["type"]:
            case "record":
                yield from self._records(writer, reader, path)
            case "array" | "map" as kind:
                part = "items" if kind == "array" else "values"
                inside = f"{path}.{'element' if kind == 'array' else 'value'}".lstrip(".")
                yield from self._of(writer[part], written_space, reader[part], reading_space, inside)
            case "enum" | "fixed" if not _is_called(writer, reader):
                yield f"{path or 'the value'}: its name was {writer['__full']} and is {reader['__full']}"
            case "enum":
                missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
                if missing and "default" not in reader:
                    yield f"{path or 'the value'}: the symbols {', '.join(missing)} are gone, and there is no default"
            case "fixed" if writer["size"] != reader["size"]:
                yield f"{path or 'the value'}: its size was {writer['size']} and is {reader['size']}"

    def _records(self, writer: dict[str, Any], reader: dict[str, Any], path: str) -> Iterator[str]:
        pair = (writer["__full"], reader["__full"])
        if pair in self._seen:
            return
        self._seen.add(pair)
        fields = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            inside = f"{path}.{field['name']}".lstrip(".")
            names = [field["name"], *field.get("aliases", ())]
            written = next((fields[name] for name in names if name in fields), None)
            if written is None:
                if "default" not in field:
                    yield f"{inside}: it is new and has no default"
            else:
                spaces = writer["__space"], reader["__space"]
                yield from self._of(written["type"], spaces[0], field["type"], spaces[1], inside)


def _is_called(writer: dict[str, Any], reader: dict[str, Any]) -> bool:
    names = {reader["__full"], *reader.get("aliases", ())}
    return writer["__full"] in names or writer["__full"].rpartition(".")[2] in reader.get("aliases", ())


def _shown(node: Any) -> str:
    if isinstance(node, list):
        return "[" + ", ".join(_shown(branch) for branch in node) + "]"
    if isinstance(node, str):
        return node
    name = node.get("__full")
    return f"{node['type']} {name}" if name else str(node["type"])
