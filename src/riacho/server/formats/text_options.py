"""What the text formats have in common: how options must agree, and how types are refused."""

from __future__ import annotations

import pyarrow as pa

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Options
from riacho.server.formats.content import check_encoding, is_utf8
from riacho.types import type_to_ddl


def check_text_options(options: Options, *, json: bool = False) -> None:
    """Encoding and line separator together; `json`: of JSON, for which there are more rules.

    Raises IllegalArgumentError for what Spark refuses.
    """
    encoding = check_encoding(options.text("encoding"))
    if options.maybe("lineSep") == "":
        raise IllegalArgumentError("requirement failed: 'lineSep' cannot be an empty string.")
    if json and not options.flag("multiLine"):
        if encoding.upper().replace("_", "-") in {"UTF-16", "UTF-32"}:
            raise IllegalArgumentError(
                f"requirement failed: The {encoding} encoding must not be included in the denyList when multiLine is "
                "disabled:\ndenylist: UTF-16, UTF-32"
            )
        if not is_utf8(encoding) and options.maybe("lineSep") is None:
            raise IllegalArgumentError(
                f"requirement failed: The lineSep option must be specified for the {encoding} encoding"
            )


def unsupported_type(form: str, field: pa.Field) -> AnalysisError:
    """The error of a column whose type the format cannot hold."""
    kind = type_to_ddl(field.type)
    return AnalysisError.of(
        "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE",
        f'The {form} datasource doesn\'t support the column `{field.name}` of the type "{kind}".',
        sql_state="0A000",
        format=form,
        columnName=f"`{field.name}`",
        columnType=f'"{kind}"',
    )
