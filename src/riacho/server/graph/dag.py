"""A directed acyclic graph that knows nothing about pipelines: nodes, what each needs, and a stable order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Generic, TypeVar

Node = TypeVar("Node")


class CycleError(ValueError):
    """Some nodes need each other. `cycle`: each node is needed by the one before it, and the first by the last."""

    def __init__(self, cycle: tuple[object, ...]) -> None:
        super().__init__("There is a cycle: " + " needs ".join(str(node) for node in (*cycle, cycle[0])))
        self.cycle = cycle


class Dag(Generic[Node]):
    """Nodes in the order they were added, and for each the nodes it needs."""

    def __init__(self, needs: Mapping[Node, Iterable[Node]] | None = None) -> None:
        self._needs: dict[Node, dict[Node, None]] = {}
        for node, upstream in (needs or {}).items():
            self.add(node, upstream)

    def add(self, node: Node, needs: Iterable[Node] = ()) -> None:
        """Add a node, or further needs of a known one. Nodes that are needed are added too."""
        known = self._needs.setdefault(node, {})
        for other in needs:
            known[other] = None
            self._needs.setdefault(other, {})

    def __iter__(self) -> Iterator[Node]:
        return iter(self._needs)

    def __contains__(self, node: Node) -> bool:
        return node in self._needs

    def needs(self, node: Node) -> tuple[Node, ...]:
        """The nodes that `node` needs directly."""
        return tuple(self._needs[node])

    def upstream(self, node: Node) -> set[Node]:
        """All that `node` needs, directly or not."""
        return self._reach(node, self._needs)

    def downstream(self, node: Node) -> set[Node]:
        """All that need `node`, directly or not."""
        return self._reach(node, self._reversed())

    def sorted(self) -> list[Node]:
        """Needs first; of the nodes that could come next, the one that was added first. Raises CycleError."""
        nodes = list(self._needs)
        place = {node: index for index, node in enumerate(nodes)}
        missing = {node: len(needs) for node, needs in self._needs.items()}
        needed_by = self._reversed()
        ordered: list[Node] = []
        ready = [index for index, node in enumerate(nodes) if not missing[node]]
        while ready:
            node = nodes[heappop(ready)]
            ordered.append(node)
            for other in needed_by[node]:
                missing[other] -= 1
                if not missing[other]:
                    heappush(ready, place[other])
        if len(ordered) < len(nodes):
            cycle = self.find_cycle()
            assert cycle is not None, "what cannot be ordered holds a cycle"
            raise CycleError(cycle)
        return ordered

    def find_cycle(self) -> tuple[Node, ...] | None:
        """Some cycle, each node followed by one that it needs; None if there is none.

        Nodes are tried in the order they were added, depth first, so the answer is always the same one.
        """
        done: set[Node] = set()
        for start in self._needs:
            path: list[Node] = []
            pending = [iter((start,))]
            while pending:
                node = next(pending[-1], None)
                if node is None:
                    pending.pop()
                    if path:
                        done.add(path.pop())
                elif node in path:
                    return tuple(path[path.index(node) :])
                elif node not in done:
                    path.append(node)
                    pending.append(iter(self._needs[node]))
        return None

    def _reversed(self) -> dict[Node, dict[Node, None]]:
        reverse: dict[Node, dict[Node, None]] = {node: {} for node in self._needs}
        for node, needs in self._needs.items():
            for other in needs:
                reverse[other][node] = None
        return reverse

    @staticmethod
    def _reach(start: Node, edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
        seen: set[Node] = set()
        pending = list(edges[start])
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                pending.extend(edges[node])
        return seen
