"""The file of answers: one line for each test that passed on Spark, its id and its fingerprint, sorted.

Branches that each add lines merge by keeping both sides' (`.gitattributes` has git do so): a fingerprint that no test
has any more does no harm, and the next recording drops it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

HEAD = """\
# What Apache Spark has answered: each of these tests did there what it says, with the text that has this fingerprint.
# `make record` writes this file. To merge, keep the lines of both sides.
"""


def read(path: Path) -> set[tuple[str, str]]:
    """The tests' ids with their fingerprints; a test may be there twice after a merge."""
    if not path.exists():
        return set()
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))
    return {(name, fingerprint) for name, _, fingerprint in (line.rpartition(" ") for line in lines)}


def write(path: Path, answers: Iterable[tuple[str, str]]) -> None:
    """Replace the file in one step."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(HEAD + "".join(f"{name} {print_}\n" for name, print_ in sorted(answers)), encoding="utf-8")
    unfinished.replace(path)


def merged(
    known: Iterable[tuple[str, str]], current: Mapping[str, str], passed: Iterable[str], complete: Iterable[str]
) -> set[tuple[str, str]]:
    """What the file says after a run: what was known and still holds, and the tests of `current` that passed.

    `current` are the fingerprints of the tests that the run knows, by id; `complete` are the files all of whose tests
    it knows, so that others of theirs are gone.
    """
    gone = set(complete)
    kept = {
        (name, fingerprint)
        for name, fingerprint in known
        if (current[name] == fingerprint if name in current else name.partition("::")[0] not in gone)
    }
    return kept | {(name, current[name]) for name in passed}
