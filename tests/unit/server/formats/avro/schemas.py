"""Random schemas and values, for tests against fastavro."""

from __future__ import annotations

import io
import random
import string
from typing import Any

import fastavro

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class Draw:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._names = 0

    def _name(self) -> str:
        self._names += 1
        return f"N{self._names}"

    def schema(self, depth: int = 3) -> Any:
        kinds = [*PRIMITIVES[1:], "enum", "fixed", "nullable"]
        if depth:
            kinds += ["record", "record", "array", "map", "union", "nullable"]
        kind = self.random.choice(kinds)
        match kind:
            case "record":
                fields = [{"name": f"f{n}", "type": self.schema(depth - 1)} for n in range(self.random.randrange(1, 5))]
                return {"type": "record", "name": self._name(), "fields": fields}
            case "array":
                return {"type": "array", "items": self.schema(depth - 1)}
            case "map":
                return {"type": "map", "values": self.schema(depth - 1)}
            case "enum":
                return {"type": "enum", "name": self._name(), "symbols": ["A", "B", "C"]}
            case "fixed":
                return {"type": "fixed", "name": self._name(), "size": self.random.randrange(1, 20)}
            case "nullable":
                inner = self.schema(max(0, depth - 1))
                if isinstance(inner, list):
                    return inner
                return ["null", inner] if self.random.random() < 0.5 else [inner, "null"]
            case "union":
                return self.random.sample(["null", "boolean", "long", "double", "bytes", "string"], 3)
            case _:
                return kind

    def value(self, schema: Any) -> Any:  # noqa: C901, PLR0911
        draw = self.random
        if isinstance(schema, list):
            branch = draw.choice(schema)
            # fastavro takes a pair as the name of a branch and its value.
            return (branch, self.value(branch)) if len(schema) > 2 and branch != "null" else self.value(branch)
        kind = schema if isinstance(schema, str) else schema["type"]
        match kind:
            case "null":
                return None
            case "boolean":
                return draw.random() < 0.5
            case "int":
                return draw.choice([0, -1, 1, draw.randrange(-(1 << 31), 1 << 31), draw.randrange(-100, 100)])
            case "long":
                return draw.choice([0, -1, -(1 << 63), (1 << 63) - 1, draw.randrange(-(1 << 63), 1 << 63), 70])
            case "float":
                return float(draw.randrange(-1000, 1000)) / 4
            case "double":
                return draw.random()
            case "bytes":
                return draw.randbytes(draw.choice([0, 1, 7, 12, 13, 200]))
            case "string":
                return "".join(draw.choices(string.ascii_letters + "é漢😀", k=draw.choice([0, 1, 5, 12, 13, 100])))
            case "enum":
                return draw.choice(schema["symbols"])
            case "fixed":
                return draw.randbytes(schema["size"])
            case "array":
                return [self.value(schema["items"]) for _ in range(draw.choice([0, 1, 2, 7]))]
            case "map":
                return {f"k{n}": self.value(schema["values"]) for n in range(draw.choice([0, 1, 3]))}
            case _:
                return {field["name"]: self.value(field["type"]) for field in schema["fields"]}


def message(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def as_spark(schema: Any, value: Any) -> Any:
    """A value as a column of Spark's type for the schema gives it."""
    if isinstance(schema, list):
        known = [branch for branch in schema if branch != "null"]
        if value is None:
            return None
        if len(known) == 1:
            return as_spark(known[0], value)
        chosen, inner = value
        return {f"member{at}": inner if chosen == branch else None for at, branch in enumerate(known)}
    if isinstance(schema, str):
        return value
    match schema["type"]:
        case "array":
            return [as_spark(schema["items"], element) for element in value]
        case "map":
            return [(key, as_spark(schema["values"], element)) for key, element in value.items()]
        case "record":
            return {field["name"]: as_spark(field["type"], value[field["name"]]) for field in schema["fields"]}
        case _:
            return value
