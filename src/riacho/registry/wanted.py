"""Which schemas there should be, by subject: a YAML file, or a folder of schemas.

A folder has a file for each subject, called after it: `orders-value.avsc` (Avro), `clicks-value.json` (JSON Schema),
`carts-value.proto` (Protobuf). A YAML file says more:

    registry: http://localhost:8081      # or --registry
    compatibility: BACKWARD              # of the subjects here that say nothing else
    subjects:
      orders-value: orders.avsc          # next to this file
      clicks-value:
        schema: {type: object, properties: {id: {type: integer}}}
        type: JSON
        compatibility: FULL
        references: [{name: shop.Money, subject: money-value, version: 1}]
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from riacho.errors import IllegalArgumentError
from riacho.registry.client import AVRO, JSON, KINDS, LEVELS, Reference
from riacho.yaml_files import document, mapping

_SUFFIXES: Final = {".avsc": AVRO, ".json": JSON, ".proto": "PROTOBUF"}
_TOP: Final = frozenset({"registry", "compatibility", "subjects"})
_OF_SUBJECT: Final = frozenset({"schema", "type", "compatibility", "references"})


@dataclass(frozen=True)
class WantedSchema:
    """The schema that a subject should have as its newest. `level`: the compatibility it should ask, None for any."""

    subject: str
    text: str
    kind: str = AVRO
    level: str | None = None
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class WantedSchemas:
    """What a file or a folder says. `registry`: the address, if it has one."""

    schemas: tuple[WantedSchema, ...]
    registry: str | None = None


def read(path: Path) -> WantedSchemas:
    """What a YAML file or a folder says. Raises IllegalArgumentError that names what is wrong with it."""
    if path.is_dir():
        return _of_folder(path)
    return _of_document(document(path), path)


def _of_folder(folder: Path) -> WantedSchemas:
    files = sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES)
    if not files:
        raise IllegalArgumentError(f"{folder} has no schemas: they end in {', '.join(_SUFFIXES)}, one file a subject")
    return WantedSchemas(tuple(_checked(WantedSchema(f.stem, f.read_text(), _SUFFIXES[f.suffix]), f) for f in files))


def _of_document(given: Any, path: Path) -> WantedSchemas:
    top = mapping(given, str(path), _TOP)
    level = _level(top.get("compatibility"), str(path))
    subjects = top.get("subjects")
    if not isinstance(subjects, dict) or not subjects:
        raise IllegalArgumentError(f"{path} has no subjects: list them under 'subjects:'")
    found = tuple(_of_subject(str(name), given, level, path) for name, given in subjects.items())
    return WantedSchemas(found, top.get("registry"))


def _of_subject(name: str, given: Any, level: str | None, path: Path) -> WantedSchema:
    where = f"{path}: {name}"
    parts = {"schema": given} if isinstance(given, str) else mapping(given, where, _OF_SUBJECT)
    schema = parts.get("schema")
    if schema is None:
        raise IllegalArgumentError(f"{where} has no schema: name its file, or write it here")
    kind = parts.get("type")
    if isinstance(schema, str):
        file = path.parent / schema
        if not file.is_file():
            raise IllegalArgumentError(f"{where}: there is no file {file}")
        text, kind = file.read_text(), kind or _SUFFIXES.get(file.suffix, AVRO)
    else:
        text = json.dumps(schema)
    kind = str(kind or AVRO).upper()
    if kind not in KINDS:
        raise IllegalArgumentError(f"{where}: type {kind} is none of {', '.join(KINDS)}")
    references = tuple(_reference(each, where) for each in parts.get("references") or ())
    own = _level(parts.get("compatibility"), where) or level
    return _checked(WantedSchema(name, text, kind, own, references), where)


def _reference(given: Any, where: str) -> Reference:
    try:
        return Reference(str(given["name"]), str(given["subject"]), int(given["version"]))
    except (TypeError, KeyError, ValueError):
        raise IllegalArgumentError(f"{where}: a reference has a name, a subject and a version, not {given!r}") from None


def _checked(schema: WantedSchema, where: object) -> WantedSchema:
    """The schema, if it can be one at all: what is not JSON need not be sent."""
    if schema.kind in (AVRO, JSON):
        try:
            found = json.loads(schema.text)
        except ValueError as error:
            raise IllegalArgumentError(f"{where} is not JSON: {error}") from None
        if schema.kind == JSON:
            _check_json_schema(found, where)
    return schema


def _check_json_schema(found: Any, where: object) -> None:
    from riacho.extras import require

    jsonschema = require("jsonschema", "registry", "JSON Schema")
    try:
        jsonschema.validators.validator_for(found).check_schema(found)
    except jsonschema.SchemaError as error:
        raise IllegalArgumentError(f"{where} is no JSON Schema: {error.message}") from None


def _level(given: Any, where: str) -> str | None:
    if given is None:
        return None
    level = str(given).upper()
    if level not in LEVELS:
        raise IllegalArgumentError(f"{where}: compatibility {given} is none of {', '.join(LEVELS)}")
    return level
