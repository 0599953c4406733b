from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.graph.dag import CycleError, Dag

DIAMOND = Dag({"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"], "alone": []})
edges = st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4), max_size=12)


def test_needs_come_first_and_the_order_is_that_of_adding() -> None:
    assert DIAMOND.sorted() == ["top", "left", "right", "bottom", "alone"]
    assert Dag({"b": ["a"], "c": []}).sorted() == ["a", "b", "c"]


def test_reach() -> None:
    assert DIAMOND.upstream("bottom") == {"left", "right", "top"}
    assert DIAMOND.downstream("top") == {"left", "right", "bottom"}
    assert DIAMOND.needs("bottom") == ("left", "right")
    assert DIAMOND.downstream("alone") == set()


def test_a_cycle_is_named() -> None:
    cyclic = Dag({"a": ["c"], "b": ["a"], "c": ["b"], "outside": ["a"]})
    assert cyclic.find_cycle() == ("a", "c", "b")
    with pytest.raises(CycleError, match="a needs c needs b needs a"):
        cyclic.sorted()


def test_a_node_can_need_itself() -> None:
    assert Dag({"a": ["a"]}).find_cycle() == ("a",)


@given(edges)
def test_every_graph_is_sorted_or_has_a_cycle(needs: dict[int, list[int]]) -> None:
    dag = Dag(needs)
    cycle = dag.find_cycle()
    if cycle is None:
        ordered = dag.sorted()
        assert sorted(ordered) == sorted(dag)
        assert all(ordered.index(need) < ordered.index(node) for node in dag for need in dag.needs(node))
    else:
        following = (*cycle[1:], cycle[0])
        assert all(need in dag.needs(node) for node, need in zip(cycle, following, strict=True))
        with pytest.raises(CycleError):
            dag.sorted()
