"""The collector is out of the way while anybody wants it, and back afterwards."""

from __future__ import annotations

import gc

import pytest

from riacho.server.kafka.collector import quiet


def test_it_comes_back_whatever_happens() -> None:
    with quiet():
        with quiet():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="x"), quiet():
        raise ValueError("x")
    assert gc.isenabled()
