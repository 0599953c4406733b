"""Base64 as Jackson decodes it inside a JSON string.

White space may stand between groups of four. A bad character is an error of the value alone; an error that makes
Jackson lose its place in the text spoils the whole record. Source: `UTF8StreamJsonParser._decodeBase64` (variant
MIME_NO_LINEFEEDS).
"""

from __future__ import annotations

import base64
import re
from typing import Final

_BODY: Final = re.compile(
    r"(?:[\x00-\x20]*[A-Za-z0-9+/]{4})*(?:[\x00-\x20]*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==))?[\x00-\x20]*"
)
_ONE_LETTER_LEFT: Final = re.compile(r"(?:[\x00-\x20]*[A-Za-z0-9+/]{4})*[\x00-\x20]*[A-Za-z0-9+/]")


class MalformedBase64Error(ValueError):
    """The value is not base64; the rest of the record is still readable."""


class UnfinishedBase64Error(ValueError):
    """Decoding ran past the closing quote (or into a character of several bytes): the record is lost."""


def decode_base64(text: str) -> bytes:
    """The bytes of `text`. Raises MalformedBase64Error or UnfinishedBase64Error."""
    if _BODY.fullmatch(text):
        return base64.b64decode(re.sub(r"[\x00-\x20]", "", text))
    if _ONE_LETTER_LEFT.fullmatch(text) or not text.isascii():
        raise UnfinishedBase64Error(text)
    raise MalformedBase64Error(text)
