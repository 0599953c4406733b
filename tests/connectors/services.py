"""Where `make services` lays what the tests here run against."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[2] / ".services"


def laid(name: str, what: str) -> Path:
    """The folder of a service. Without it tests are skipped, except in CI, where they fail."""
    home = SERVICES / name
    if not (home / "laid").exists():
        missing = f"there is no {what} to test with: run `make services`"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    return home
