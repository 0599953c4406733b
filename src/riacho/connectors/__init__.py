"""Connectors to other systems: PySpark Python Data Sources, for riacho and for any Spark server alike.

riacho knows them by name; nothing has to be registered:

    spark.read.format("rest").option("url", "https://api.example.org/v1/items").load()

Another Spark server has them after `register(spark)`. The classes travel with their code, so riacho need not be
installed there, but what a connector is made of must be: `pip install 'riacho[rest]'` names it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from riacho.connectors.names import CLASSES, ON_ANY_SPARK
from riacho.errors import IllegalArgumentError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.datasource import DataSource


def register(spark: SparkSession, *names: str) -> None:
    """Make connectors known to a session of any Spark server: the named ones, or all that are not Spark's own.

    Called once after the session is made; on riacho it does nothing that is not done already. Raises
    IllegalArgumentError for a name that no connector has, and for one that Spark serves with a connector of its own.
    """
    from pyspark import cloudpickle

    import riacho

    cloudpickle.register_pickle_by_value(riacho)  # type: ignore[no-untyped-call]
    for name in names or ON_ANY_SPARK:
        if name not in ON_ANY_SPARK:
            known = ", ".join(ON_ANY_SPARK)
            raise IllegalArgumentError(f"There is no connector {name!r} to register; there are {known}")
        spark.dataSource.register(connector(name))


def connector(name: str) -> type[DataSource]:
    """The class of the connector that `format(name)` means on riacho. Raises KeyError if there is none."""
    module, _, cls = CLASSES[name.lower()].partition(":")
    found: type[DataSource] = getattr(importlib.import_module(module), cls)
    return found
