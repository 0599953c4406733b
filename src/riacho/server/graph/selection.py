"""Which tables a run refreshes, and which of them from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from riacho.errors import IllegalArgumentError
from riacho.protos import pb
from riacho.server.graph import names
from riacho.server.graph.names import CurrentNamespace, Identifier


@dataclass(frozen=True)
class TableSelection:
    """`refresh` and `full_refresh` name tables and sinks; None in either stands for all of them.

    A name of one part stands there twice: as a table's full name, and as it is, which a sink may have. Spark knows
    tables only, so that a sink cannot be chosen there.
    """

    refresh: frozenset[Identifier] | None = None
    full_refresh: frozenset[Identifier] | None = frozenset()

    @classmethod
    def of(cls, command: pb.PipelineCommand.StartRun, scope: CurrentNamespace) -> TableSelection:
        """What a client asks for. Names that no table has select nothing, as in Spark.

        Raises IllegalArgumentError for a contradiction.
        """
        if command.full_refresh_all:
            for kind, listed in (
                ("refresh", command.refresh_selection),
                ("full refresh", command.full_refresh_selection),
            ):
                if listed:
                    raise IllegalArgumentError(
                        f"Cannot specify a subset to {kind} when full refresh all is set to true."
                    )
            return cls(refresh=frozenset(), full_refresh=None)
        refresh = _qualified(command.refresh_selection, scope)
        full_refresh = _qualified(command.full_refresh_selection, scope)
        both = refresh & full_refresh
        if both:
            listed_names = ", ".join(sorted(name.quoted for name in both if not name.is_single))
            raise IllegalArgumentError(
                f"Datasets specified for refresh and full refresh cannot overlap: {listed_names}"
            )
        return cls(refresh if refresh or full_refresh else None, full_refresh)

    def is_selected(self, target: Identifier) -> bool:
        """Whether the flows to this table or sink run."""
        return self.refresh is None or target in self.refresh or self.is_full(target)

    def is_full(self, target: Identifier) -> bool:
        """Whether a full refresh is asked for."""
        return self.full_refresh is None or target in self.full_refresh

    def names_full(self, target: Identifier) -> bool:
        """Whether the target is named in the list of full refreshes (and not just among all)."""
        return self.full_refresh is not None and target in self.full_refresh


def _qualified(listed: Iterable[str], scope: CurrentNamespace) -> frozenset[Identifier]:
    parsed = [names.parse(name) for name in listed]
    return frozenset([*map(scope.qualify, parsed), *(name for name in parsed if name.is_single)])
