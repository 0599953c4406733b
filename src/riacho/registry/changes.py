"""What registering schemas would change, and whether it may be done: all is looked at before anything is sent."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from riacho.registry.avro_compat import problems
from riacho.registry.client import AVRO, RegisteredSchema, RegistryClient, RegistryError
from riacho.registry.references import whole
from riacho.registry.wanted import WantedSchema


class SchemaState(StrEnum):
    """What a schema is to its subject."""

    NEW = "new subject"
    CHANGED = "new version"
    SAME = "registered"
    REFUSED = "incompatible"


@dataclass(frozen=True)
class SchemaChange:
    """What registering one schema would do. `level`: the compatibility that the subject has now, its own or by default.

    `complaints`: why it is refused. `latest`: the newest version now, None for a new subject.
    """

    wanted: WantedSchema
    state: SchemaState
    latest: RegisteredSchema | None
    level: str | None
    complaints: tuple[str, ...] = ()

    @property
    def sets_level(self) -> bool:
        """Whether the subject is to ask for something else than now."""
        return self.wanted.level is not None and self.wanted.level != self.level


def changes(client: RegistryClient, wanted: Iterable[WantedSchema]) -> list[SchemaChange]:
    """What registering these schemas would do; nothing is changed. Raises RegistryError."""
    default = client.level()
    return [_change(client, schema, default) for schema in wanted]


def _change(client: RegistryClient, wanted: WantedSchema, default: str | None) -> SchemaChange:
    latest = client.latest(wanted.subject)
    if latest is None:
        return SchemaChange(wanted, SchemaState.NEW, None, client.level(wanted.subject) or default)
    level = client.level(wanted.subject) or default
    if client.find(wanted.subject, wanted.text, wanted.kind, wanted.references) is not None:
        return SchemaChange(wanted, SchemaState.SAME, latest, level)
    complaints: list[str] = []
    if wanted.kind == AVRO == latest.kind:
        complaints = list(_own_complaints(client, wanted, latest, wanted.level or level or "NONE"))
    if not complaints and wanted.level in (None, level):
        complaints = client.complaints(wanted.subject, wanted.text, wanted.kind, wanted.references)
    state = SchemaState.REFUSED if complaints else SchemaState.CHANGED
    return SchemaChange(wanted, state, latest, level, tuple(complaints))


_OLD_READS_NEW: Final = ("FORWARD", "FULL")
_NEW_READS_OLD: Final = ("BACKWARD", "FULL")


def _own_complaints(
    client: RegistryClient, wanted: WantedSchema, latest: RegisteredSchema, level: str
) -> Iterator[str]:
    """What is wrong at the level that the subject is to have, for the registry only knows the one it has."""
    kind, _, transitive = level.partition("_")
    known = [latest]
    if transitive:
        known = [client.version(wanted.subject, number) for number in client.versions(wanted.subject)]
    new = whole(client, RegisteredSchema(0, wanted.text, wanted.kind, references=wanted.references))
    for old in known:
        text = whole(client, old)
        if kind in _NEW_READS_OLD:
            yield from (f"{problem} (reading version {old.version})" for problem in problems(text, new))
        if kind in _OLD_READS_NEW:
            yield from (f"{problem} (read by version {old.version})" for problem in problems(new, text))


def refused(found: Iterable[SchemaChange]) -> list[SchemaChange]:
    """Those that may not be registered."""
    return [change for change in found if change.state is SchemaState.REFUSED]


def register(client: RegistryClient, found: Iterable[SchemaChange]) -> Iterator[tuple[SchemaChange, int | None]]:
    """Do what was found: levels first, then schemas; gives each with its id, None if it was there already.

    None of them may be refused. What only the registry can compare (JSON Schema, Protobuf) is compared again once the
    subject has its new level, and the old level comes back if it does not fit. Raises RegistryError.
    """
    todo = list(found)
    assert not refused(todo)
    for change in todo:
        if change.sets_level and change.wanted.level is not None:
            _set_level(client, change, change.wanted.level)
    for change in todo:
        wanted = change.wanted
        if change.state is SchemaState.SAME:
            yield change, None
        else:
            yield change, client.register(wanted.subject, wanted.text, wanted.kind, wanted.references)


def _set_level(client: RegistryClient, change: SchemaChange, level: str) -> None:
    wanted = change.wanted
    client.set_level(wanted.subject, level)
    if change.state is not SchemaState.CHANGED:
        return
    complaints = client.complaints(wanted.subject, wanted.text, wanted.kind, wanted.references)
    if complaints:
        if change.level is not None:
            client.set_level(wanted.subject, change.level)
        raise RegistryError(
            f"The schema for {wanted.subject} is not compatible ({level}): {'; '.join(complaints)}. No schema was "
            "registered."
        )


def difference(change: SchemaChange) -> list[str]:
    """The lines that differ between the newest version and the wanted one, as `diff -u` shows them; none if none do."""
    old = [] if change.latest is None else _lines(change.latest.text, change.latest.kind)
    new = _lines(change.wanted.text, change.wanted.kind)
    version = 0 if change.latest is None else change.latest.version
    shown = difflib.unified_diff(old, new, f"{change.wanted.subject} version {version}", "here", lineterm="")
    return list(shown)


def _lines(text: str, kind: str) -> list[str]:
    if kind == "PROTOBUF":
        return text.splitlines()
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()
