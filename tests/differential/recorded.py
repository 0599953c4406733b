"""What Spark answered to the cases that `make test` draws in each run, so that it need not be asked again.

Kept is a fingerprint of each answer, under one of the case and of all that decides how Spark is asked. It is enough to
tell that riacho answers the same. Where it does not, or the case is not known, Spark is asked.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.differential.cases import Case
from tests.record import answers, versions
from tests.record.sources import Source

HERE = Path(__file__).parent
FILE = HERE / "answers.txt"
LENGTH = 16


def asked() -> str:
    """How Spark is asked, as text: versions, the program that asks it, and how a case becomes files."""
    definitions = Source.read(HERE / "cases.py").definitions
    parts = [definition.text for name in ("Case", "_table", "_MIDNIGHT") for definition in definitions[name]]
    programs = [(HERE / name).read_text() for name in ("spark_side.py", "answers.py")]
    return "\0".join([versions.spark(), *programs, *parts])


class Recorded:
    """The answers on record in `path`. With `writing`, what is asked anew is put there by `write`."""

    def __init__(self, path: Path = FILE, *, writing: bool = False, how: str | None = None) -> None:
        self._path = path
        self._writing = writing
        self._how = asked() if how is None else how
        self._known = answers.read(path)
        self._seen: set[tuple[str, str]] = set()

    def agrees(self, case: Case, found: dict[str, Any]) -> bool:
        """Whether Spark's answer to this case is on record and is the one that was found."""
        entry = (self._name(case), _fingerprint(_plain(found)))
        if entry not in self._known:
            return False
        self._seen.add(entry)
        return True

    def note(self, case: Case, answer: dict[str, Any]) -> None:
        """Spark's answer to a case."""
        self._seen.add((self._name(case), _fingerprint(_plain(answer))))

    def write(self) -> None:
        """Put this run's answers in the place of all others, if this run is for that."""
        if self._writing and self._seen:
            answers.write(self._path, self._seen)

    def _name(self, case: Case) -> str:
        return f"case {_fingerprint(f'{self._how}{case!r}')}"


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _plain(value: Any) -> str:
    """A text that is the same for values that are equal, as 1 and 1.0 are."""

    def alike(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: alike(inner) for key, inner in part.items()}
        if isinstance(part, list | tuple):
            return [alike(inner) for inner in part]
        return int(part) if isinstance(part, float) and part.is_integer() else part

    return json.dumps(alike(value), sort_keys=True)
