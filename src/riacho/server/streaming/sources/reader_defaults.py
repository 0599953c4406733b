"""What a file reader's options are where the user gave none: what the session's confs say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from riacho.conf import BINARY_LENGTH, CSV_PRUNING, IGNORE_CORRUPT, IGNORE_MISSING, ORC_MERGE, Conf, GetConf
from riacho.zones import Zone

_EVERY: Final[Mapping[str, Conf[Any]]] = {"ignoreCorruptFiles": IGNORE_CORRUPT, "ignoreMissingFiles": IGNORE_MISSING}
_BY_FORMAT: Final[Mapping[str, Mapping[str, Conf[Any]]]] = {
    "csv": {"columnPruning": CSV_PRUNING},
    "binaryfile": {"maxLength": BINARY_LENGTH},
    "orc": {"mergeSchema": ORC_MERGE},
}
_WITH_TIMES: Final = frozenset({"csv", "json", "xml"})
"""Formats that have times as text."""


def with_defaults(format: str, options: Mapping[str, str], get_conf: GetConf, zone: Zone) -> dict[str, str]:
    """`options` of a reader of `format`, in lower case, with what the session says of those that are not given.

    That includes the zone of times that name none. Raises INVALID_CONF_VALUE.
    """
    given = {name.lower() for name in options}
    result = dict(options)
    for name, conf in {**_EVERY, **_BY_FORMAT.get(format, {})}.items():
        if name.lower() not in given and get_conf(conf.key) is not None:
            result[name] = str(conf.read(get_conf)).lower()
    if not zone.is_utc and format in _WITH_TIMES and "timezone" not in given:
        result["timeZone"] = zone.text
    return result
