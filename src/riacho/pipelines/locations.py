"""Where in the user's file a function of this package is called."""

from __future__ import annotations

import inspect

from pyspark.pipelines.source_code_location import SourceCodeLocation


def user_location() -> SourceCodeLocation:
    """The place outside this package from which it is called."""
    package = __name__.rpartition(".")[0]
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame = frame.f_back
    return (
        SourceCodeLocation("", None) if frame is None else SourceCodeLocation(frame.f_code.co_filename, frame.f_lineno)
    )
