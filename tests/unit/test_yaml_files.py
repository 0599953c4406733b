"""Files in YAML: what is read, and what is refused."""

from __future__ import annotations

import pytest

from riacho.errors import IllegalArgumentError
from riacho.yaml_files import parsed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {x: 1}\nb: 1\na: {y: 2}\n", "f has the key 'a' twice in one mapping (line 3): only one"),
        ("- {a: {b: 1, b: 2}}", "the key 'b' twice in one mapping (line 1)"),
        ('{"a": 1, "a": 2}', "the key 'a' twice in one mapping: only one"),
    ],
)
def test_a_key_counts_once(text: str, told: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        parsed(text, "f")
    assert told in str(caught.value)


def test_the_same_key_in_several_mappings() -> None:
    assert parsed("- {a: 1}\n- {a: {a: 2}}", "f") == [{"a": 1}, {"a": {"a": 2}}]
    assert parsed("b: &b {c: 1, d: 1}\ne: {<<: *b, c: 2}", "f")["e"] == {"c": 2, "d": 1}
    assert parsed('{"a": {"a": 1}}', "f") == {"a": {"a": 1}}
