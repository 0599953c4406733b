"""The confs that a streaming query obeys: read once when it starts, some of them kept in its checkpoint.

Source: `org.apache.spark.sql.execution.streaming.checkpointing.OffsetSeqMetadata`.
"""

from __future__ import annotations

from collections.abc import Mapping

from riacho.conf import CONFS
from riacho.server.engine.base import EngineSession

_OBEYED = {
    conf.key: conf.default or ""
    for conf in CONFS
    if conf.kept or (conf.key.startswith("spark.sql.streaming.") and conf.default is not None)
}
_KEPT = frozenset(conf.key for conf in CONFS if conf.kept)
_KEPT_FOR_SPARK = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"
    ),
    "spark.sql.streaming.aggregation.stateFormatVersion": "2",
    "spark.sql.streaming.join.stateFormatVersion": "2",
    "spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion": "2",
    "spark.sql.streaming.stateStore.compression.codec": "lz4",
}
"""What Spark keeps besides, and has no meaning here: with it, Spark takes a stateless checkpoint for one of its own."""


def of_session(session: EngineSession) -> dict[str, str]:
    """What a session has now. Raises INVALID_CONF_VALUE.* for what could be set only past its check."""
    told = session.get_confs(_OBEYED)
    found = {key: told[key] or default for key, default in _OBEYED.items()}
    for conf in CONFS:
        if conf.key in found:
            conf.of(found)
    return found


def to_keep(confs: Mapping[str, str]) -> dict[str, str]:
    """What a checkpoint keeps of a query's confs."""
    return _KEPT_FOR_SPARK | {key: value for key, value in confs.items() if key in _KEPT}


def after_restart(confs: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """A query's confs where a checkpoint kept some: those stay as they were, all others are the session's."""
    return {**confs, **{key: value for key, value in kept.items() if key in _KEPT}}
