from __future__ import annotations

import pytest

from riacho.conf import CONCURRENT_FLOWS, FLOW_RETRIES, SHORTEST_RETRY_WAIT
from riacho.errors import IllegalArgumentError
from riacho.server.graph.schedule import Backoff
from riacho.server.graph.settings import PipelineSettings


def test_defaults_are_sparks() -> None:
    assert PipelineSettings.read(dict[str, str]().get) == PipelineSettings(2, Backoff(5_000, 3_600_000), 16)


@pytest.mark.parametrize(
    ("text", "wait_ms"), [("1s", 1_000), ("7", 7_000), ("2500ms", 2_000), ("2min", 120_000), (" 1h ", 3_600_000)]
)
def test_times(text: str, wait_ms: int) -> None:
    assert PipelineSettings.read({SHORTEST_RETRY_WAIT.key: text}.get).backoff.shortest_ms == wait_ms


@pytest.mark.parametrize("key", [FLOW_RETRIES.key, SHORTEST_RETRY_WAIT.key, CONCURRENT_FLOWS.key])
def test_nonsense_is_named(key: str) -> None:
    with pytest.raises(IllegalArgumentError, match=f"'soon' in the config \"{key}\" is invalid"):
        PipelineSettings.read({key: "soon"}.get)


def test_a_flows_own_retries_win() -> None:
    settings = PipelineSettings.read({FLOW_RETRIES.key: "1"}.get)
    assert (settings.retries(None), settings.retries("0")) == (1, 0)
