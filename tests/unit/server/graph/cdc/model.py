"""SCD type 2 in a few lines of plain Python that see all events at once: what `scd2.reconcile` is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """One change; `values` None is a delete, of all keys if it `truncates`."""

    key: Any
    sequence: Any
    values: Values | None
    truncates: bool = False


@dataclass(frozen=True)
class Version:
    """One row of the target."""

    key: Any
    values: tuple[Any, ...]
    start: Any
    end: Any


def versions(
    events: Iterable[Event],
    columns: Sequence[str],
    tracked: Sequence[str],
    ignore_nulls: Sequence[str],
    weight: Callable[[Values], int],
) -> set[Version]:
    """The target after all events, in whatever order they came."""
    found = set()
    for key, of_key in groupby(sorted(events, key=lambda e: (e.key, e.sequence)), lambda e: e.key):
        line: list[tuple[Any, dict[str, Any] | None]] = []  # the key's states, and when they began
        for sequence, same in groupby(of_key, lambda e: e.sequence):
            rivals = list(same)
            if any(event.values is None for event in rivals):
                line.append((sequence, None))
                continue
            said = max((event.values or {} for event in rivals), key=weight)
            before = (line[-1][1] if line else None) or {}
            line.append(
                (sequence, {c: before.get(c) if said[c] is None and c in ignore_nulls else said[c] for c in columns})
            )
        start = None
        for (sequence, state), (end, following) in zip(line, [*line[1:], (None, None)], strict=True):
            if state is None:
                continue
            start = sequence if start is None else start
            if following is not None and all(state[c] == following[c] for c in tracked):
                continue
            found.add(Version(key, tuple(state[c] for c in columns), start, end))
            start = None
    return found


def rows(events: Sequence[Event], columns: Sequence[str], ignore_nulls: Sequence[str]) -> dict[Any, tuple[Any, ...]]:
    """The target of SCD type 1 after all events; no two upserts that differ have the same key and sequence."""
    everywhere = max((event.sequence for event in events if event.truncates), default=-1)
    found = {}
    for key in {event.key for event in events}:
        mine = sorted((e for e in events if e.key == key and not e.truncates), key=lambda e: e.sequence)
        buried = max([everywhere, *(e.sequence for e in mine if e.values is None)])
        said = [e.values for e in mine if e.values is not None and e.sequence >= buried]
        row: dict[str, Any] = dict.fromkeys(columns)
        for values in said:
            row |= {c: values[c] for c in columns if values[c] is not None or c not in ignore_nulls}
        if said:
            found[key] = tuple(row.values())
    return found
