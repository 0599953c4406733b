"""Packages that only a part of riacho needs: what to install is said when that part is used."""

from __future__ import annotations

import importlib
from types import ModuleType

from riacho.errors import AnalysisError


def require(module: str, extra: str, what: str) -> ModuleType:
    """Import `module`, which `pip install 'riacho[extra]'` brings and `what` needs ("The Kafka source").

    Called where the part is used, not when riacho is imported. Raises AnalysisError that names the extra if the module
    is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        raise AnalysisError(
            f"{what} needs the Python package {module.split('.', maxsplit=1)[0]}, which is not installed where riacho "
            f"runs: pip install 'riacho[{extra}]'"
        ) from None
