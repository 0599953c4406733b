r"""Translates regular expressions and replacements from Java's syntax to that of the engine's library.

    pattern       before            after                   because
                  \w \d \s          [0-9A-Za-z_] [0-9] …    Java's are ASCII only: `\W` matches `é`
                  \p{Alpha}         [[:alpha:]]             so are Java's POSIX classes
    replacement   $1x               ${1}x                   otherwise it is the group named `1x`, which is empty
                  \$  \\            $$  \                   a backslash makes the next character literal

Java syntax that the other library does not know makes it fail with an error.
Source: `java.util.regex.Pattern`, `Matcher`.
"""

from __future__ import annotations

import re

_CLASSES = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\x20\t\n\x0B\x0C\r",
}
_POSIX = ("Lower", "Upper", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl", "XDigit", "Space")
_ESCAPE = re.compile(r"\\(?:([dws])|([DWS])|([pP])\{(" + "|".join(_POSIX) + r")\}|.)", re.DOTALL)
_GROUP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|(\((?!\?)|\(\?<(?![=!]))", re.DOTALL)
_REPLACEMENT = re.compile(r"\\(.)|\$(\d+)|\$(\{\w+\})|(\$)", re.DOTALL)


def pattern(java: str) -> str:
    """The pattern that matches in the engine what `java` matches in Spark."""
    return _ESCAPE.sub(_escape, java)


def _escape(match: re.Match[str]) -> str:
    small, capital, posix, name = match.groups()
    if small is not None:
        return f"[{_CLASSES[small]}]"
    if capital is not None:
        return f"[^{_CLASSES[capital.lower()]}]"
    if posix is not None:
        return f"[[:{'^' if posix == 'P' else ''}{name.lower()}:]]"
    return match[0]


def groups(java: str) -> int:
    """The number of groups that a pattern captures."""
    return sum(match[1] is not None for match in _GROUP.finditer(java))


def replacement(java: str, group_count: int) -> str:
    """The replacement that means to the engine what `java` means to Spark, for a pattern with this many groups.

    A group number takes only as many digits as name an existing group: with two groups, `$12` is group 1, then a 2.
    """

    def change(match: re.Match[str]) -> str:
        literal, digits, name, _ = match.groups()
        if literal is not None:
            return "$$" if literal == "$" else literal
        if digits is not None:
            taken = 1
            while taken < len(digits) and int(digits[: taken + 1]) <= group_count:
                taken += 1
            return f"${{{digits[:taken]}}}{digits[taken:]}"
        return f"${name}" if name is not None else "$$"

    return _REPLACEMENT.sub(change, java)
