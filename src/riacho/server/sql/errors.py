"""What is wrong with a statement, and where, with the wording and format of Spark's parser.

    [PARSE_SYNTAX_ERROR] Syntax error at or near 'b': extra input 'b'. SQLSTATE: 42601 (line 1, pos 13)

    == SQL ==
    DROP TABLE a b
    -------------^^^

Source: `ParseException` and `SparkParserErrorStrategy`.
"""

from __future__ import annotations

from riacho.errors import ParseError
from riacho.server.sql.tokens import Token, tokenize

_BLANKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SYMBOL_NAMES = {"=": "EQ"}
_QUOTES = ("'", '"', "`")


def syntax_error(text: str, token: Token | None, hint: str = "") -> ParseError:
    """PARSE_SYNTAX_ERROR at `token`, a token of `text`; None stands for the end of the text.

    `hint` is appended to the token: the result of `missing` or `extra`, or nothing.
    """
    near = "end of input" if token is None else f"'{token.text.translate(_BLANKS)}'"
    return ParseError(
        f"\n[PARSE_SYNTAX_ERROR] Syntax error at or near {near}{hint}. SQLSTATE: 42601"
        f"{_place(text, len(text) if token is None else token.start)}",
        condition="PARSE_SYNTAX_ERROR",
        sql_state="42601",
        parameters={"error": near, "hint": hint},
    )


class UnplacedSyntaxError(ParseError):
    """A syntax error from the engine, raised where the text is not at hand. `start`: its position; None at the end."""

    start: int | None = None

    def placed(self, text: str) -> ParseError:
        """The error with its position in `text`, which the engine was given, possibly slightly changed."""
        tokens = tokenize(text)
        unclosed = next((token for token in tokens if token.kind == "symbol" and token.text in _QUOTES), None)
        if unclosed is not None or self.start is None:
            return syntax_error(text, unclosed)
        alike = [token for token in tokens if f"'{token.text}'" == self.parameters["error"]]
        exact = [token for token in alike if token.start == self.start]
        return syntax_error(text, (exact or alike)[0]) if exact or len(alike) == 1 else self


def missing(expected: str) -> str:
    """The hint that only this word or symbol is missing before the token."""
    return f": missing {_SYMBOL_NAMES.get(expected) or repr(expected)}"


def extra(token: Token) -> str:
    """The hint that the statement would be correct without the token."""
    return f": extra input '{token.text.translate(_BLANKS)}'"


def empty_statement(text: str) -> ParseError:
    """PARSE_EMPTY_STATEMENT for a blank text."""
    return ParseError(
        f"\n[PARSE_EMPTY_STATEMENT] Syntax error, unexpected empty statement. SQLSTATE: 42617{_place(text, len(text))}",
        condition="PARSE_EMPTY_STATEMENT",
        sql_state="42617",
    )


def refused(text: str, condition: str, what: str, *, sql_state: str, **parameters: str) -> ParseError:
    """An error with one of Spark's conditions about a whole statement, `text`."""
    rendered = f"[{condition}] {what} SQLSTATE: {sql_state}"
    return ParseError(_about(text, rendered), condition=condition, sql_state=sql_state, parameters=parameters)


def not_allowed(text: str, what: str) -> ParseError:
    """The error for a statement that Spark's grammar accepts but Spark does not allow."""
    parameters = {"message": what}
    return ParseError(
        _about(text, f"Operation not allowed: {what}."), condition="_LEGACY_ERROR_TEMP_0035", parameters=parameters
    )


def temporary_if_not_exists(text: str) -> ParseError:
    """The error for CREATE TEMPORARY VIEW IF NOT EXISTS."""
    what = "It is not allowed to define a TEMPORARY view with IF NOT EXISTS."
    return ParseError(_about(text, what), condition="_LEGACY_ERROR_TEMP_0053")


def qualified_temporary(name: str, qualifier: str) -> ParseError:
    """The error for a temporary view that is qualified with a database; both names are quoted."""
    return ParseError.of(
        "INVALID_TEMP_OBJ_QUALIFIER",
        f"Temporary VIEW {name} cannot be qualified with {qualifier}. Temporary objects can only be qualified with "
        "SESSION or SYSTEM.SESSION.",
        sql_state="42602",
        objectType="VIEW",
        objectName=name,
        qualifier=qualifier,
    )


def _about(text: str, what: str) -> str:
    """A message with the statement under it."""
    return f"\n{what}\n== SQL (line 1, position 1) ==\n{text}\n{'^' * len(text)}\n"


def _place(text: str, start: int) -> str:
    """The line and column of `start` in `text`, and the text with that position underlined."""
    before = text[:start].split("\n")
    lines = text.rstrip("\n").split("\n")
    shown = [*lines[: len(before)], "-" * len(before[-1]) + "^^^", *lines[len(before) :]]
    return f" (line {len(before)}, pos {len(before[-1])})\n\n== SQL ==\n" + "\n".join(shown) + "\n"
