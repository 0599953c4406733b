"""What the options of a batch read of files say: which paths, which of the files there, and which schema."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import pyarrow as pa

from riacho import types
from riacho.conf import SESSION_TIME_ZONE
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.catalog.failures import path_given_twice
from riacho.server.engine.base import EngineSession
from riacho.server.formats.times import to_micros
from riacho.server.streaming.sources.file_index import Rules
from riacho.server.streaming.sources.globs import glob_expression

_OWN_OPTIONS: Final = frozenset(
    {"path", "paths", "basepath", "recursivefilelookup", "pathglobfilter", "modifiedbefore", "modifiedafter"}
)
_DAY_S: Final = 86_400


def given_paths(source: pb.Read.DataSource) -> list[str]:
    """The paths of a read, by argument or option. Raises AnalysisError if there are both."""
    options = {key.lower(): value for key, value in source.options.items()}
    if source.paths and ("path" in options or "paths" in options):
        raise path_given_twice()
    return list(source.paths) or ([options["path"]] if "path" in options else [])


def reader_options(source: pb.Read.DataSource) -> dict[str, str]:
    """The options that are not about which files to read."""
    return {key: value for key, value in source.options.items() if key.lower() not in _OWN_OPTIONS}


def rules_of(source: pb.Read.DataSource, session: EngineSession, declared: Sequence[str] | None) -> Rules:
    """Which files the options of a read ask for."""
    options = {key.lower(): value for key, value in source.options.items()}
    pattern = glob_expression(options["pathglobfilter"]) if "pathglobfilter" in options else None
    tests: list[Callable[[int], bool]] = []
    for name, after in (("modifiedbefore", False), ("modifiedafter", True)):
        if name in options:
            limit = _moment_us(name, options[name], options.get("timezone") or SESSION_TIME_ZONE.read(session.get_conf))
            tests.append(partial(_modified, limit_us=limit, after=after))
    return Rules(
        base=options.get("basepath"),
        recursive=options.get("recursivefilelookup", "false").lower() == "true",
        wanted=None if pattern is None else lambda path: pattern.fullmatch(path.rpartition("/")[2]) is not None,
        fresh=(lambda modified_us: all(test(modified_us) for test in tests)) if tests else None,
        declared=declared,
    )


def _moment_us(name: str, text: str, zone: str) -> int:
    """What `modifiedBefore` or `modifiedAfter` says. Raises AnalysisError."""
    micros = to_micros(text, zone, int(time.time()) // _DAY_S)
    if micros is None:
        raise AnalysisError(
            f"The timestamp provided for the '{name}' option is invalid. The expected format is 'YYYY-MM-DDTHH:mm:ss', "
            f"but the provided timestamp: {text}.",
            condition="_LEGACY_ERROR_TEMP_1294",
        )
    return micros


def _modified(modified_us: int, *, limit_us: int, after: bool) -> bool:
    """Whether a file was last modified after, or before, the limit."""
    return modified_us > limit_us if after else modified_us < limit_us


def schema_of_text(text: str, session: EngineSession) -> pa.Schema:
    """The schema that a reader was given, as JSON or DDL."""
    return types.from_json(text) if text.lstrip().startswith("{") else session.parse_ddl(text)
