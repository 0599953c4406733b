"""Which data source a name means in a session: one that it registered, a connector, or one of an installed package."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from riacho.connectors.names import CLASSES, ON_ANY_SPARK, SLOW
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.catalog.failures import path_given_twice
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.engine.schemas import given_schema
from riacho.server.plan.formats import short_name
from riacho.server.workers.sources import fork_server, installed
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.source import UserSource
from riacho.server.workers.sources.worker import SourceWorker, UserCodeFailed

_log = logging.getLogger(__name__)

PREDICATES: Final = "__predicates"
"""The option with the conditions of `spark.read.jdbc(predicates=…)`, one for each partition, as a JSON list."""
_TAKEN: Final = frozenset(
    {"avro", "binaryfile", "cloudfiles", "console", "csv", "delta", "jdbc", "json", "kafka", "memory", "noop", "orc"}
    | {"mongodb", "parquet", "rate", "rate-micro-batch", "socket", "statestore", "state-metadata", "text", "xml"}
)
"""Names that are riacho's or Spark's own, or those of a connector that Spark has. A session cannot register a class of
such a name; that of a connector in `ON_ANY_SPARK` it can, as `riacho.connectors.register` does."""
_LONG: Final = ".defaultsource"
"""What programs may have at the end of a class's name, in lower case."""


def register(session: EngineSession, command: pb.CommonInlineUserDefinedDataSource) -> None:
    """`spark.dataSource.register`: later reads and writes of this session and of its clones know the name.

    A name that was registered before means the new class from now on. Raises DATA_SOURCE_ALREADY_EXISTS for a name that
    every session has.
    """
    name = command.name.lower()
    if name in _TAKEN or (name in CLASSES and name not in ON_ANY_SPARK):
        raise AnalysisError.of(
            "DATA_SOURCE_ALREADY_EXISTS",
            f"Data source '{command.name}' already exists. Please choose a different name for the new data source.",
            sql_state="42710",
            provider=command.name,
        )
    given = command.python_data_source
    session.data_sources[name] = UserClass(given.command, given.python_ver)
    fork_server.warm_up()


def find(name: str, session: EngineSession) -> UserClass | None:
    """The class of that name (in any case), or None."""
    key = short_name(name)
    if key in session.data_sources:
        return session.data_sources[key]
    connector = CLASSES.get(key) or CLASSES.get(key.removesuffix(_LONG))
    if connector is not None:
        return _by_name(connector)
    return None if key in _TAKEN else _installed().get(key)


def _by_name(reference: str) -> UserClass:
    """The class at `module:class`, pickled as no more than this name: only the worker that uses it loads it."""
    module, _, cls = reference.partition(":")
    if reference in SLOW:
        fork_server.load(SLOW[reference])
    return UserClass(f"c{module}\n{cls}\n.".encode(), connector=True)


def use(read: pb.Read.DataSource, found: UserClass, session: EngineSession) -> UserSource:
    """What a read, of a batch or a stream, asks that class for.

    Raises AnalysisError for a path given twice, PYTHON_DATA_SOURCE_ERROR if another Python pickled the class.
    """
    given = given_schema(read.schema, session)
    options = options_of(read.options, read.paths)
    if read.predicates:
        options[PREDICATES] = json.dumps(list(read.predicates), ensure_ascii=False)
    return source_of(read.format, found, options, session, given)


def source_of(
    name: str, found: UserClass, options: Mapping[str, str], session: EngineSession, schema: pa.Schema | None
) -> UserSource:
    """A use of that class. Raises PYTHON_DATA_SOURCE_ERROR if another Python pickled it."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if found.python and found.python != own:
        raise refused(
            "create",
            "instance",
            UserCodeFailed(
                f"[PYTHON_VERSION_MISMATCH] Python in worker has different version: {own} than that in driver: "
                f"{found.python}, PySpark cannot run with different minor versions. Run riacho with the client's "
                "Python."
            ),
        )
    return UserSource(name, found, options, session, schema)


def options_of(options: Mapping[str, str], paths: Sequence[str]) -> dict[str, str]:
    """The options as the user's class gets them: a path is one, several are JSON.

    Raises AnalysisError if a path is given both ways.
    """
    given = dict(options)
    if not paths:
        return given
    if any(name.lower() in ("path", "paths") for name in given):
        raise path_given_twice()
    if len(paths) == 1:
        given["path"] = paths[0]
    else:
        given["paths"] = json.dumps(list(paths), separators=(",", ":"), ensure_ascii=False)
    return given


_looking = threading.Lock()
_found: dict[str, UserClass] | None = None


def _installed() -> Mapping[str, UserClass]:
    """The classes of installed packages by lower-case name; looked for once, as Spark does it."""
    global _found  # noqa: PLW0603 - of the process, as what is installed is
    with _looking:
        if _found is None:
            references = installed.references()
            _found = _loaded(references) if references else {}
        return _found


def _loaded(references: Sequence[str]) -> dict[str, UserClass]:
    """Each from a worker of its own: one that cannot be loaded hides no other."""
    found: dict[str, UserClass] = {}
    for reference in references:
        worker = SourceWorker()
        try:
            answer, classes = worker.call("find", names=[reference])
            found.update(
                (name.lower(), UserClass(bytes(cls))) for name, cls in zip(answer["names"], classes, strict=True)
            )
        except UserCodeFailed as failure:
            _log.warning("The data source %s of an installed package cannot be loaded: %s", reference, failure.text)
        finally:
            worker.stop()
    return found
