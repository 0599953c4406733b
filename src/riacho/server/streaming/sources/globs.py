"""Hadoop's globs in paths: `*`, `?`, `[ab]`, `[^a]`, `{a,b}`."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Final

_GLOB: Final = re.compile(r"[*?\[\]{}]")


def is_glob(path: str) -> bool:
    return _GLOB.search(path) is not None


def glob_expression(pattern: str) -> re.Pattern[str]:
    """A Hadoop glob for one name (`*`, `?`, `[ab]`, `[^a]`, `{a,b}`) as a regular expression."""
    return re.compile("|".join(translate(one.replace("[^", "[!")) for one in expand_braces(pattern)))


def expand_braces(pattern: str) -> list[str]:
    """`a{b,c{d,e}}` → `ab`, `acd`, `ace`."""
    opening = pattern.find("{")
    if opening < 0:
        return [pattern]
    depth, start, parts = 0, opening + 1, []
    for i in range(opening, len(pattern)):
        if pattern[i] == "{":
            depth += 1
        elif pattern[i] == "}":
            depth -= 1
        if (pattern[i] == "," and depth == 1) or depth == 0:
            parts.append(pattern[start:i])
            start = i + 1
        if depth == 0:
            return [one for part in parts for one in expand_braces(pattern[:opening] + part + pattern[i + 1 :])]
    return [pattern]
