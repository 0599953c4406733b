"""The example of docs/testing.md runs, and its table names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import riacho.testing

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(import pyarrow.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    names["test_a_crash_loses_and_doubles_nothing"](tmp_path)


def test_every_part_is_named() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert named | {"Crash"} == set(riacho.testing.__all__)
    assert all(getattr(riacho.testing, name) is not None for name in riacho.testing.__all__)
