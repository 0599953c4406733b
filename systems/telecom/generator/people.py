"""A pool of Brazilian customers from Faker: made once, slowly; used often, fast."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FAKED = 2_000
"""Faker makes some thousands of people a second: a larger pool repeats these, each time in another flat."""


def customers(count: int, seed: int) -> pa.Table:
    """`count` customers, columns `Nome` and `Endereco`, the same ones for the same seed; no two are alike.

    Raises ImportError, with the way out, where Faker is missing.
    """
    faked = min(count, FAKED)
    names, addresses = _fake(faked, seed)
    flats = pa.array(1 + np.arange(count) // faked).cast(pa.string())
    repeat = pa.array(np.arange(count) % faked)
    homes = pc.binary_join_element_wise(addresses.take(repeat), flats, ", apto ")
    return pa.table({"Nome": names.take(repeat), "Endereco": homes})


def _fake(count: int, seed: int) -> tuple[pa.Array, pa.Array]:
    """`count` names and `count` distinct addresses, each on one line."""
    try:
        from faker import Faker
    except ImportError:
        raise ImportError("generating data needs Faker: pip install 'riacho[generate]'") from None
    fake = Faker("pt_BR")
    fake.seed_instance(seed)
    names = [fake.name() for _ in range(count)]
    addresses = [fake.unique.address().replace("\n", ", ") for _ in range(count)]
    return pa.array(names, pa.string()), pa.array(addresses, pa.string())
