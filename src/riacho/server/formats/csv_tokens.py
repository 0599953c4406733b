"""CSV text to records of text values, as the uniVocity parser splits it when Spark sets it up.

What a quote means when it stands in an odd place is defined by that parser alone (`CsvParser`, with
`STOP_AT_DELIMITER`): a quoted value ends at a quote that a separator, a line end or white space follows; with anything
else behind the quote, the value is taken as it stands, quotes included, up to the next separator. Checked line by line
on Spark 4.2, with odd quotes, escapes and white space in all places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from riacho.errors import IllegalArgumentError, SparkGeneralError
from riacho.options import Options

NONE: Final = "\0"
"""No character: what uniVocity takes for "not set"."""

_WHITE: Final = "".join(map(chr, range(0x21)))


@dataclass(frozen=True)
class Dialect:
    """How records are written. `quote`, `escape`, `escape_escape`, `comment`: one character, or NONE."""

    separator: str = ","
    quote: str = '"'
    escape: str = "\\"
    escape_escape: str = "\\"
    comment: str = NONE
    null_value: str = ""
    empty_value: str = ""
    trim_left: bool = False
    trim_right: bool = False
    max_columns: int = 20480

    @classmethod
    def of(cls, options: Options) -> Dialect:
        """From a reader's options. Raises IllegalArgumentError for more characters than one, or no separator."""
        quote, escape = options.char("quote") or NONE, options.char("escape") or NONE
        escape_escape = options.char("charToEscapeQuoteEscaping") or (NONE if escape == quote else escape)
        return cls(
            separator(options.text("sep")),
            quote,
            escape,
            escape_escape,
            options.char("comment") or NONE,
            options.text("nullValue"),
            options.text("emptyValue"),
            options.flag("ignoreLeadingWhiteSpace"),
            options.flag("ignoreTrailingWhiteSpace"),
            int(options.text("maxColumns")),
        )


_SPECIAL: Final = {"t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_SEPARATOR_PART: Final = re.compile(r"\\(.?)|(.)", re.DOTALL)


def separator(text: str) -> str:
    r"""The `sep` option with its escapes (`\t`) replaced. Raises INVALID_DELIMITER_VALUE."""
    if not text:
        raise _invalid_separator("EMPTY_STRING", "Delimiter cannot be empty string.")
    if text == "\\":
        raise _invalid_separator(
            "SINGLE_BACKSLASH",
            "Single backslash is prohibited. It has special meaning as beginning of an escape sequence. To get the "
            "backslash character, pass a string with two backslashes as the delimiter.",
        )
    if text == "\\u0000":
        return NONE

    def replaced(part: re.Match[str]) -> str:
        if part[2] is not None:
            return part[2]
        if part[1] not in _SPECIAL:
            raise _invalid_separator(
                "UNSUPPORTED_SPECIAL_CHARACTER", f"Unsupported special character for delimiter: {text}."
            )
        return _SPECIAL[part[1]]

    return _SEPARATOR_PART.sub(replaced, text)


def _invalid_separator(kind: str, why: str) -> IllegalArgumentError:
    return IllegalArgumentError.of(
        f"INVALID_DELIMITER_VALUE.{kind}", f"Invalid value for delimiter. {why}", sql_state="42602"
    )


def split_line(line: str, dialect: Dialect) -> list[str | None]:
    """The values of a record that stands alone in `line`; None for nothing between two separators."""
    return _CsvScanner(line, dialect).record()


def split_stream(text: str, dialect: Dialect) -> Iterator[tuple[list[str | None], str]]:
    """The records of a whole text, in which quoted values may contain line ends, each with its source.

    Empty lines and comments are skipped.
    """
    scanner = _CsvScanner(text, dialect, line_end="\n")
    while scanner.position < len(text):
        start = scanner.position
        if text[start] == "\n":
            scanner.position += 1
        elif text[start] == dialect.comment != NONE:
            scanner.position = scanner.end_of_line() + 1
        else:
            values = scanner.record()
            yield values, text[start : scanner.position].removesuffix("\n")


class _CsvScanner:
    """Reads values one after another. `position` stands where the next one begins."""

    def __init__(self, text: str, dialect: Dialect, line_end: str = NONE) -> None:
        self._text = text
        self._dialect = dialect
        self._line_end = line_end
        self._limit = len(text)
        stops = re.escape(dialect.separator) + ("|" + re.escape(line_end) if line_end != NONE else "")
        self._stop = re.compile(stops)
        specials = {char for char in (dialect.quote, dialect.escape, dialect.escape_escape) if char != NONE}
        self._special = re.compile("[" + re.escape("".join(sorted(specials))) + "]") if specials else None
        self.position = 0

    def end_of_line(self) -> int:
        end = self._text.find("\n", self.position)
        return self._limit if end < 0 else end

    def record(self) -> list[str | None]:
        """The values of the record that begins here; `position` moves behind it and its line end."""
        values: list[str | None] = []
        while True:
            values.append(self._value())
            if len(values) > self._dialect.max_columns:
                raise SparkGeneralError(
                    f"A CSV record has more than {self._dialect.max_columns} values; raise the option maxColumns, or "
                    f"check the separator {self._dialect.separator!r}."
                )
            if not self._text.startswith(self._dialect.separator, self.position):
                self.position += 1
                return values
            self.position += len(self._dialect.separator)

    def _value(self) -> str | None:
        """One value. This and the methods it calls leave `position` behind the value: at a separator or an end."""
        if self._dialect.trim_left:
            while self.position < self._limit and self._is_white(self.position):
                self.position += 1
        if self._ends_at(self.position):
            return None
        if self._text[self.position] == self._dialect.quote != NONE:
            simple = self._simple_quoted()
            return self._quoted() if simple is None else simple or self._dialect.empty_value
        return self._trimmed(self._rest(self.position)) or None

    def _ends_at(self, index: int) -> bool:
        return index >= self._limit or self._stop.match(self._text, index) is not None

    def _is_white(self, index: int) -> bool:
        return self._text[index] <= " " and not self._ends_at(index)

    def _rest(self, start: int) -> str:
        """What stands from `start` up to the next separator, as it is."""
        stop = self._stop.search(self._text, start)
        self.position = self._limit if stop is None else stop.start()
        return self._text[start : self.position]

    def _trimmed(self, value: str) -> str:
        return value.rstrip(_WHITE) if self._dialect.trim_right else value

    def _simple_quoted(self) -> str | None:
        """A quoted value without any escape, followed by a separator or line end; None if it is not that simple."""
        start, escape = self.position + 1, self._dialect.escape
        close = self._text.find(self._dialect.quote, start)
        if close < 0 or self._text[close - 1] == escape or close + 1 >= self._limit or not self._ends_at(close + 1):
            return None
        doubled = escape + self._dialect.escape_escape
        if self._dialect.escape_escape != NONE and self._text.find(doubled, start, close) >= 0:
            return None
        self.position = close + 1
        return self._text[start:close]

    def _quoted(self) -> str:
        """A quoted value of any kind. `previous` is what uniVocity remembers of the character before."""
        quote, escape, escape_escape = self._dialect.quote, self._dialect.escape, self._dialect.escape_escape
        out, previous, i = "", NONE, self.position + 1
        if i >= self._limit:
            self.position = i
            return quote
        while i < self._limit:
            char = self._text[i]
            if previous == quote and (char <= " " or self._ends_at(i)):
                return self._closed(out, i)
            if char not in {quote, escape}:
                if previous == quote:
                    return self._unescaped(out, i)
                if previous == escape != NONE:
                    out += escape
                special = self._special.search(self._text, i) if self._special else None
                if special is None:
                    self.position = self._limit
                    return out + self._text[i:]
                out += self._text[i : special.start()]
                previous, i = special.group(), special.end()
                continue
            if char == escape and previous == escape_escape != NONE:
                out, previous = out + escape, NONE
            elif previous == escape:
                out, previous = (out + quote, NONE) if char == quote else (out + previous, char)
            elif previous == quote:
                if char != quote:
                    return self._unescaped(out, i)
                out += quote
            else:
                previous = char
            i += 1
        self.position = self._limit
        return out or self._dialect.empty_value

    def _closed(self, out: str, i: int) -> str:
        """The value ended with the quote before `i`, unless more than white space stands before the separator."""
        end = i
        while end < self._limit and self._is_white(end):
            end += 1
        if not self._ends_at(end):
            return self._unescaped(out, i)
        self.position = end
        return out or self._dialect.empty_value

    def _unescaped(self, out: str, i: int) -> str:
        """The quote before `i` closed nothing: the value is all that stands there, quotes included."""
        quote = self._dialect.quote
        return self._trimmed(quote + out + quote + self._rest(i))
