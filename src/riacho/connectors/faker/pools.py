"""Pools of values from Faker: made once, slowly; drawn from often, fast."""

from __future__ import annotations

import difflib
from typing import Any, Final

import pyarrow as pa

from riacho.connectors.faker import draws
from riacho.errors import IllegalArgumentError
from riacho.extras import require

SIZE: Final = 2_000
"""Faker makes some thousands of values a second: a larger pool would be felt."""


def pool(provider: str, arguments: Any, *, locale: str, seed: int, size: int, unique: bool, where: str) -> pa.Array:
    """`size` values of a provider, the same for the same seed and version of Faker.

    `arguments`: a mapping of the provider's arguments, or a list of them. Raises IllegalArgumentError for a provider or
    a locale that Faker does not have, for arguments that it does not take, and if it has not so many unique values.
    """
    library = require("faker", "faker", "The provider " + provider)
    try:
        fake = library.Faker(locale)
    except (AttributeError, ImportError):
        raise IllegalArgumentError(f"{where}: Faker has no locale {locale!r}; it has pt_BR, en_US, de_DE …") from None
    fake.seed_instance(draws.key_of(seed, provider, locale) % 2**32)
    known = [name for name in dir(fake.factories[0]) if not name.startswith("_")]
    if provider not in known:
        near = difflib.get_close_matches(provider, known, 3)
        raise IllegalArgumentError(
            f"{where}: {provider!r} is no kind of field, and no provider of Faker in {locale}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    method = getattr(fake.unique if unique else fake, provider)
    by_name = arguments if isinstance(arguments, dict) else {}
    in_order = arguments if isinstance(arguments, list) else []
    try:
        values = [method(*in_order, **by_name) for _ in range(size)]
    except library.exceptions.UniquenessException:
        raise IllegalArgumentError(f"{where}: {provider} has not {size} unique values; make the pool smaller") from None
    except (TypeError, ValueError) as error:
        raise IllegalArgumentError(f"{where}: {provider} cannot be called so: {error}") from None
    return _column(values, provider, where)


def _column(values: list[Any], provider: str, where: str) -> pa.Array:
    if any(isinstance(value, str) and "\n" in value for value in values):
        values = [", ".join(value.splitlines()) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise IllegalArgumentError(
            f"{where}: {provider} gives values of type {type(values[0]).__name__}, which are no column"
        ) from None
