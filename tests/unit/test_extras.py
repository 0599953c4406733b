from __future__ import annotations

import sys

import pytest

from riacho.errors import AnalysisError
from riacho.extras import require


def test_a_package_that_is_there() -> None:
    assert require("json.decoder", "kafka", "The Kafka source").__name__ == "json.decoder"


def test_a_missing_one_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "json", None)
    with pytest.raises(AnalysisError, match=r"The Kafka source needs the Python package json, .*riacho\[kafka\]"):
        require("json", "kafka", "The Kafka source")


def test_a_package_that_is_broken_is_not_called_missing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "half_there.py").write_text("import something_it_needs")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_it_needs"):
        require("half_there", "kafka", "The Kafka source")
