"""What `riacho anomalies backtest systems/access-logs` looks at: days of accesses per minute, and attacks in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from riacho.quality import anomalies

from .generator.accesses import busy

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
RATE: Final = 1.0
"""Accesses a second, as the generator sends them by default."""
LIMIT: Final = 1_500
"""`access.limit.per.minute` of the pipeline."""
SIZES: Final = (400, 6_000)
"""Accesses a minute that an attack adds."""
MINUTES: Final = (2, 10)
"""How long an attack lasts."""

TIME: Final = "minute"
VALUE: Final = "accesses"
RULES: Final[Mapping[str, Callable[[DataFrame], DataFrame]]] = {
    "limit": lambda series: anomalies.above_limit(series, time=TIME, value=VALUE, limit=LIMIT),
    "history": lambda series: anomalies.out_of_line(series, time=TIME, value=VALUE),
}


def series(days: int, attacks: int, seed: int, sizes: tuple[int, int] = SIZES) -> pa.Table:
    """Accesses per minute of so many days: `minute`, `accesses`, and `attack`, the number of the attack or null.

    Attacks begin on the second day at the earliest, and are at least an hour apart where there is room for that.
    `sizes`: accesses a minute that an attack adds, from and to.
    """
    rng = np.random.default_rng([seed, 2])
    minutes = [START + timedelta(minutes=number) for number in range(days * 1_440)]
    expected = np.array([RATE * 60 * busy(minute) for minute in minutes])
    counts = rng.poisson(expected)
    attack = np.full(len(minutes), -1)
    slots = rng.permutation(np.arange(min(1, days - 1) * 24, days * 24))[:attacks]
    for number, slot in enumerate(sorted(slots.tolist())):
        length = int(rng.integers(MINUTES[0], MINUTES[1] + 1))
        first = slot * 60 + int(rng.integers(0, 60 - length))
        size = round(float(np.exp(rng.uniform(*np.log(sizes)))))
        counts[first : first + length] += rng.poisson(size, length)
        attack[first : first + length] = number
    return pa.table(
        {
            TIME: pa.array(minutes, pa.timestamp("us", "UTC")),
            VALUE: pa.array(counts, pa.int64()),
            "attack": pa.array(attack, pa.int64(), mask=attack < 0),
        }
    )
