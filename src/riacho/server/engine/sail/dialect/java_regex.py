r"""Regular expressions and replacements as Java has them → as the engine's library has them.

    pattern       before            after                   because
                  \w \d \s          [0-9A-Za-z_] [0-9] …    Java's are of ASCII alone: `\W` takes an `é` for no letter
                  \p{Alpha}         [[:alpha:]]             so are its POSIX classes
    replacement   $1x               ${1}x                   else it would be the group named `1x`, which is empty
                  \$  \\            $$  \                   a backslash takes the next character as it is

What else differs is unknown to the other library, which says so. Source: `java.util.regex.Pattern`, `Matcher`.
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
    """How many groups a pattern captures."""
    return sum(match[1] is not None for match in _GROUP.finditer(java))


def replacement(java: str, group_count: int) -> str:
    """The replacement that the engine reads as Spark reads `java`, in a pattern of so many groups.

    A group's number goes on for as many digits as there are groups: `$12` is the first group and a 2 if there are two.
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
