"""Where a flow's rows go, as a start asks for it: a table of the pipeline, or one of its sinks."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from riacho.errors import IllegalArgumentError
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.catalog.base import TableName

FOREACH_BATCH = "foreachbatch"
FUNCTION, PYTHON = "riacho.function", "riacho.python"
"""What `riacho.pipelines.foreach_batch_sink` gives its sink as options: the pickled function, as base64."""


def destination(table: TableName | None, form: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `StartRequest` that say where the rows go. `options`: the sink's, in any case.

    Raises IllegalArgumentError for a Delta sink with both a path and a table.
    """
    given = {key.lower(): value for key, value in options.items()}
    if table is not None:
        # A source that learns a new column while it runs (`cloudFiles`) fails its flow once; the flow's next attempt
        # has the column, and the table, made before the first, must take it.
        name = quoted((table.catalog, table.database, table.table))
        return {"format": form, "table": name, "options": {**given, "mergeschema": "true"}}
    if form.lower() == FOREACH_BATCH and FUNCTION in given:
        function = pb.PythonUDF(command=b64decode(given.pop(FUNCTION)), python_ver=given.pop(PYTHON, ""))
        return {"foreach_batch": function, "options": given}
    if form.lower() == "delta" and "tablename" in given:
        if "path" in given:
            raise IllegalArgumentError("A delta sink has a path or a tableName: leave one of the options out.")
        return {"format": form, "table": given.pop("tablename"), "options": given}
    return {"format": form, "options": given}
