"""`from_json` and `from_csv`: the parts of Spark's parsing that the engine silently leaves out.

    from_json(j, 'a INT, b STRING')        try_cast(from_json(nullif(ltrim(j), ''), 'a BIGINT, b STRING')
                                                    AS STRUCT<a: INT, b: STRING>)

The engine lets numbers too large for their type wrap around, turns an empty text into a struct of nulls, and ignores
the mode, the column of corrupt records and most options. A call that would return nulls where Spark returns a value or
an error is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

from riacho import types
from riacho.errors import AnalysisError, SparkError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.literals import string_of
from riacho.server.sql.tokens import Edit, splice, tokenize
from riacho.server.sql.words import words

Expression = pb.Expression

_WIDER = words("INT INTEGER SMALLINT SHORT TINYINT BYTE")
_NOT_READ = {
    "allowbackslashescapinganycharacter": "true",
    "allowcomments": "true",
    "allownumericleadingzeros": "true",
    "allowunquotedcontrolchars": "true",
    "allowunquotedfieldnames": "true",
    "locale": "",
    "timestampntzformat": "",
    "timezone": "",
}
"""Options that the engine ignores, each with the value that would change the result; an empty text means any value."""


def from_json(arguments: Sequence[Expression]) -> Expression | None:
    """`from_json(text, schema [, options])`. Raises AnalysisError, UnsupportedOperationError."""
    if len(arguments) < 2:
        return None
    options = _options(arguments[2]) if len(arguments) > 2 else {}
    ddl = _ddl(arguments[1])
    _check("from_json", ddl, options)
    if ddl is None or _is_changed(arguments[0]):
        return None
    whole = build.call("nullif", build.call("ltrim", arguments[0]), build.text(""))
    wide = _widened(ddl)
    if wide is None:
        return build.call("from_json", whole, *arguments[1:])
    read = build.call("from_json", whole, build.text(wide), *arguments[2:])
    kind = _nullable(ddl)
    return _try_cast(read, kind if _is_type(kind) else f"STRUCT<{kind}>")


def from_csv(arguments: Sequence[Expression]) -> Expression | None:
    """`from_csv(text, schema [, options])`. Raises as `from_json`."""
    if len(arguments) > 1:
        options = _options(arguments[2]) if len(arguments) > 2 else {}
        _check("from_csv", _ddl(arguments[1]), options)
    return None


def _is_changed(text: Expression) -> bool:
    """Whether a call with this first argument has already been rewritten here."""
    function = text.unresolved_function
    if function.function_name == "nullif" and function.arguments:
        return function.arguments[0].unresolved_function.function_name == "ltrim"
    return text.expression_string.expression.startswith("nullif(ltrim(")


def _nullable(ddl: str) -> str:
    """The schema without NOT NULL and comments, which a cast does not accept."""
    tokens = tokenize(ddl)
    edits = []
    for token, behind in pairwise(tokens):
        if (token.word, behind.word) == ("NOT", "NULL") or (token.word == "COMMENT" and behind.kind == "string"):
            edits.append(Edit(token.start, behind.end, ""))
    return splice(ddl, edits)


def _try_cast(expression: Expression, kind: str) -> Expression:
    cast = Expression.Cast(expr=expression, type_str=kind, eval_mode=Expression.Cast.EVAL_MODE_TRY)
    return Expression(cast=cast)


def _check(name: str, ddl: str | None, options: Mapping[str, str]) -> None:
    mode = options.get("mode", "PERMISSIVE").upper()
    if mode == "DROPMALFORMED":
        raise AnalysisError.of(
            "PARSE_MODE_UNSUPPORTED",
            f"The function `{name}` doesn't support the DROPMALFORMED mode. Acceptable modes are PERMISSIVE and "
            "FAILFAST.",
            sql_state="42601",
            funcName=f"`{name}`",
            mode="DROPMALFORMED",
        )
    if mode == "FAILFAST":
        raise UnsupportedOperationError(
            f"{name} with the mode FAILFAST is not supported: the engine would not detect malformed records. Omit the "
            "mode and check for nulls, or read files with spark.readStream, which supports all modes."
        )
    corrupt = options.get("columnnameofcorruptrecord", "_corrupt_record").lower()
    if ddl is not None and corrupt in _columns(ddl):
        raise UnsupportedOperationError(
            f"{name} with a column of corrupt records, '{corrupt}', is not supported: the engine would leave it null. "
            "Remove it from the schema and check for nulls, or read files with spark.readStream, which fills it."
        )
    for option, value in _NOT_READ.items():
        if option in options and value in ("", options[option].lower()):
            raise UnsupportedOperationError(
                f"The option '{option}' of {name} is not supported: the engine would ignore it. Transform the text "
                "before parsing it, or cast its fields afterwards."
            )


def _options(argument: Expression) -> dict[str, str]:
    """The options of a call that are constants, by lower-case name."""
    if argument.literal.HasField("map"):
        given = argument.literal.map
        return {key.string.lower(): value.string for key, value in zip(given.keys, given.values, strict=True)}
    texts = list(map(string_of, argument.unresolved_function.arguments))
    if argument.HasField("expression_string"):
        texts = [string_of(_text(token.text)) for token in tokenize(argument.expression_string.expression)]
        texts = [text for text in texts if text is not None]
    pairs = zip(texts[::2], texts[1::2], strict=False)
    return {key.lower(): value for key, value in pairs if key is not None and value is not None}


def _text(text: str) -> Expression:
    return Expression(expression_string=Expression.ExpressionString(expression=text))


def _ddl(argument: Expression) -> str | None:
    """The schema as DDL; None if it is not a constant."""
    text = string_of(argument)
    if text is None or not text.lstrip().startswith(("{", '"')):
        return text
    try:
        found = json.loads(text)
        if isinstance(found, str):
            return found
        wrapped = {"type": "struct", "fields": [{"name": "j", "type": found, "nullable": True, "metadata": {}}]}
        return types.type_to_ddl(types.from_json(json.dumps(wrapped)).field(0).type)
    except (ValueError, KeyError, SparkError):
        return None


def _is_type(ddl: str) -> bool:
    """Whether this is a single type, not a list of columns."""
    tokens = tokenize(ddl)
    if len(tokens) == 1:
        return True
    return len(tokens) > 1 and tokens[1].text in ("<", "(") and tokens[0].kind == "word"


def _columns(ddl: str) -> set[str]:
    """The lower-case names of the STRING columns, at any level."""
    return {
        before.name.lower()
        for before, behind in pairwise(tokenize(ddl))
        if before.name is not None and (behind.word == "STRING" or behind.is_symbol(":"))
    }


def _widened(ddl: str) -> str | None:
    """The schema with BIGINT in place of all narrower integer types; None if it has none."""
    tokens = tokenize(ddl)
    edits = [
        Edit(token.start, token.end, "BIGINT")
        for at, token in enumerate(tokens)
        if token.word in _WIDER and _is_kind(at, [other.text for other in tokens])
    ]
    return splice(ddl, edits) if edits else None


def _is_kind(at: int, texts: Sequence[str]) -> bool:
    """Whether the word at `at` is a type, not a column: after a name or `:`, or inside `<…>`."""
    before = texts[at - 1] if at else ""
    behind = texts[at + 1] if at + 1 < len(texts) else ""
    if behind == ":":
        return False
    if not at or before in ("<", ","):
        # The first word of a column, unless it is the whole type of an element.
        return behind in ("", ">", ",") and not (before == "" and behind == ",")
    return True
