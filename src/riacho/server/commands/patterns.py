"""The patterns of SHOW statements: `*` is any text, `|` is or, case does not matter.

Source: Spark's `StringUtils.filterPattern`.
"""

from __future__ import annotations

import re


def matches(name: str, pattern: str | None) -> bool:
    """Whether `name` fits `pattern`; no pattern fits all names."""
    if pattern is None:
        return True
    choices = (re.escape(choice.strip()).replace(r"\*", ".*") for choice in pattern.split("|"))
    return any(re.fullmatch(choice, name, re.IGNORECASE) for choice in choices)
