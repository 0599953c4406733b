"""How good rules for anomalies are, on a series of which it is known when something was wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Score:
    """What a rule found.

    `attacks`: how many there were; `found`: those of which at least one moment was flagged. `flagged`: how many moments
    were; `right`: those of an attack. `delays`: for each attack that was found, how many moments went by unnoticed.
    """

    attacks: int
    found: int
    flagged: int
    right: int
    delays: Sequence[int]

    @property
    def recall(self) -> float | None:
        """Share of the attacks that were found; None if there was none."""
        return self.found / self.attacks if self.attacks else None

    @property
    def precision(self) -> float | None:
        """Share of the flagged moments that were of an attack; None if nothing was flagged."""
        return self.right / self.flagged if self.flagged else None

    @property
    def false_alarms(self) -> int:
        return self.flagged - self.right


def score(truth: Mapping[datetime, int | None], flagged: set[datetime]) -> Score:
    """Hold what was `flagged` against the `truth`: for each moment, in order, the attack that it is part of."""
    moments: dict[int, list[datetime]] = {}
    for moment, attack in truth.items():
        if attack is not None:
            moments.setdefault(attack, []).append(moment)
    delays = [
        next(late for late, moment in enumerate(of) if moment in flagged)
        for of in moments.values()
        if any(moment in flagged for moment in of)
    ]
    right = sum(truth.get(moment) is not None for moment in flagged)
    return Score(len(moments), len(delays), len(flagged), right, delays)
