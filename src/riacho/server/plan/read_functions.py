"""`read_files` and `read_kafka`, table functions of Lakeflow's, as the reads that they mean.

    STREAM read_files('/landing', format => 'json', schemaHints => 'id INT')
        → cloudFiles of that folder, with cloudFiles.format and cloudFiles.schemaHints
    STREAM read_kafka(bootstrapServers => 'localhost:9092', subscribe => 'orders')
        → kafka with these options

Without STREAM, `read_kafka` reads what is there, and so does `read_files` if it is given a `schema`: without one it
would also have a column of rescued data, which only streams have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from riacho.errors import AnalysisError, IllegalArgumentError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.sql.cursor import Cursor

_POSITIONAL: Final = {"read_files": ("path",), "read_kafka": ()}
_CLOUD_FILES: Final = {
    name.lower(): f"cloudFiles.{name}"
    for name in (
        "allowOverwrites",
        "backfillInterval",
        "includeExistingFiles",
        "inferColumnTypes",
        "maxBytesPerTrigger",
        "maxFilesPerTrigger",
        "partitionColumns",
        "schemaEvolutionMode",
        "schemaHints",
        "schemaLocation",
        "useStrictGlobber",
    )
}
"""The arguments of `read_files` that are options of `cloudFiles` itself, and not of the files' format."""
_STREAMS_ONLY: Final = frozenset(_CLOUD_FILES) - {"partitioncolumns"}


def arguments(name: str, call: str) -> dict[str, str]:
    """The arguments of a call, by name: literals as text.

    Raises ParseError for what is no literal, IllegalArgumentError for an argument without a name,
    DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT for one that is given twice.
    """
    cursor = Cursor(call)
    cursor.name()
    found: dict[str, str] = {}
    for number, part in enumerate(cursor.brackets()):
        if part.done and number == 0:
            break
        behind = part.ahead(1)
        if behind is not None and behind.is_symbol("=>"):
            key = part.identifier()
            part.expect_symbol("=>")
        elif number < len(_POSITIONAL[name]):
            key = _POSITIONAL[name][number]
        else:
            raise IllegalArgumentError(f"{name} takes this argument by its name: write `name => value` in `{call}`")
        if any(known.lower() == key.lower() for known in found):
            raise _given_twice(name, key)
        found[key] = part.value()
        part.expect_end()
    return found


def _given_twice(name: str, key: str) -> AnalysisError:
    return AnalysisError.of(
        "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.DOUBLE_NAMED_ARGUMENT_REFERENCE",
        f"Call to routine `{name}` is invalid because it includes multiple argument assignments to the same parameter "
        f"name `{key}`. More than one named argument referred to the same parameter. Please assign a value only once.",
        sql_state="4274K",
        routineName=f"`{name}`",
        parameterName=f"`{key}`",
    )


def relation(name: str, given: Mapping[str, str], *, streaming: bool) -> pb.Relation:
    """The read that a call with these arguments means.

    Raises IllegalArgumentError for a missing argument, UnsupportedOperationError for a batch that would differ.
    """
    return _files(given, streaming=streaming) if name == "read_files" else _kafka(given, streaming=streaming)


def _files(given: Mapping[str, str], *, streaming: bool) -> pb.Relation:
    options = dict(given)
    names = {key.lower(): key for key in options}
    path = _taken(options, names, "path")
    form = _taken(options, names, "format")
    if path is None or form is None:
        missing = "a path" if path is None else "a format, such as format => 'json'"
        raise IllegalArgumentError(f"read_files needs {missing}")
    schema = _taken(options, names, "schema") or ""
    read = pb.Relation(read=pb.Read(is_streaming=streaming))
    source = read.read.data_source
    source.paths.append(path)
    source.schema = schema
    if streaming:
        source.format = "cloudFiles"
        source.options["cloudFiles.format"] = form
        if "infercolumntypes" not in names:
            source.options["cloudFiles.inferColumnTypes"] = "true"  # unlike cloudFiles, read_files wants types
        source.options.update({_CLOUD_FILES.get(key.lower(), key): value for key, value in options.items()})
        return read
    if not schema:
        raise UnsupportedOperationError(
            "read_files in a batch needs a schema: without one it would have a column of rescued data, which only "
            f"streams have. Write STREAM read_files(…), schema => '…', or {form}.`{path}`."
        )
    others = [key for key in options if key.lower() in _STREAMS_ONLY]
    if others:
        raise UnsupportedOperationError(f"read_files in a batch takes no {', '.join(others)}: these are for streams")
    source.format = form
    source.options.update(options)
    return read


def _kafka(given: Mapping[str, str], *, streaming: bool) -> pb.Relation:
    read = pb.Relation(read=pb.Read(is_streaming=streaming))
    source = read.read.data_source
    source.format = "kafka"
    for key, value in given.items():
        source.options["kafka.bootstrap.servers" if key.lower() == "bootstrapservers" else key] = value
    return read


def _taken(options: dict[str, str], names: Mapping[str, str], name: str) -> str | None:
    """The value of an argument, in any case, taken out of the rest."""
    return options.pop(names[name]) if name in names else None
