"""The rows of an XML document as events: where elements begin and end, and the text between them.

Expat reads the document. No entity is ever resolved but the five that XML itself has: a document that refers to one of
its own, or to a file, is malformed there. Behind a mistake in text, reading goes on in the same elements; a mistake in
a tag ends the document.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from xml.parsers import expat

START: Final = 0
END: Final = 1
TEXT: Final = 2
MISTAKE: Final = 3
FATAL: Final = 4
"""A mistake behind which nothing can be read."""


class Event(NamedTuple):
    """`text`: the name of an element, text, or what is wrong. `attributes`: names and values in turns."""

    kind: int
    text: str
    attributes: Sequence[str] = ()


@dataclass(frozen=True)
class RowEvents:
    """One row: its events behind the start of its element, with its end, or up to a mistake.

    `source`: the record as text, unless that is the whole file.
    """

    attributes: Sequence[str]
    events: list[Event]
    source: str | None = None

    @property
    def mistake(self) -> str | None:
        """What is wrong, if the row is not whole."""
        return self.events[-1].text if self.events and self.events[-1].kind >= MISTAKE else None


class _Mistake(Exception):  # noqa: N818 - control flow inside this module
    """Something that expat takes and Spark does not, at a position in the data."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.at = at


_STEP: Final = 1 << 18
"""How many bytes expat is given at a time: the rows in them are in memory together."""

_REFERENCE: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)")
_ENCODING: Final = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TAG_START: Final = re.compile(rb"[A-Za-z_:/!?\x80-\xff]")


def rows(data: bytes, row_tag: str, *, encoding: str | None = None, local_names: bool = False) -> Iterator[RowEvents]:
    """The rows of a document: the elements called `row_tag`, wherever they are, but not those inside a row.

    `encoding`: goes before what the document says. `local_names`: names lose their namespace prefix. A document that is
    malformed outside its rows ends with a row that has a mistake and nothing else.
    """
    reader = _DocumentReader(data, row_tag, encoding, local_names)
    while reader.more:
        yield from reader.run()


def line_rows(data: bytes, row_tag: str, *, encoding: str | None, local_names: bool) -> Iterator[RowEvents]:
    """The rows of a file whose lines are documents of their own: the first row of each; one with a mistake for none."""
    for line in data.splitlines():
        if line.strip():
            source = line.decode(encoding or "utf-8", "replace")
            found = rows(line, row_tag, encoding=encoding, local_names=local_names)
            row = next(found, RowEvents((), [Event(FATAL, f"There is no element <{row_tag}>.")]))
            yield replace(row, source=source)


class _DocumentReader:
    """Reads on until the document, or what can be read of it, is at its end."""

    def __init__(self, data: bytes, row_tag: str, encoding: str | None, local_names: bool) -> None:
        self._data, self._encoding = (data, encoding) if encoding is not None else _as_utf8(data)
        self._row_tag = row_tag
        self._local_names = local_names
        self._at = 0
        self._position: Callable[[], int] = lambda: 0
        self._stack: list[str] = []
        self._row_depth: int | None = None
        self._skipping = False
        self._attributes: Sequence[str] = ()
        self._events: list[Event] = []
        self._done: list[RowEvents] = []
        self._divided = False
        self._entities = False
        self.more = True

    def run(self) -> Iterator[RowEvents]:
        """The rows up to the end, or to a mistake behind which `run` can be called again."""
        parser, offset = self._parser()
        self._position = lambda: parser.CurrentByteIndex - offset
        try:
            for start in range(self._at, len(self._data), _STEP):
                parser.Parse(memoryview(self._data)[start : start + _STEP], False)
                yield from self._take()
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            yield from self._take()
            yield from self._mistaken(str(error), parser.ErrorByteIndex - offset)
        except _Mistake as error:
            yield from self._take()
            yield from self._mistaken(str(error), error.at)
        else:
            self.more = False
            yield from self._take()

    def _take(self) -> list[RowEvents]:
        done, self._done = self._done, []
        return done

    def _parser(self) -> tuple[expat.XMLParserType, int]:
        """A parser that is inside the elements that are open, and where it believes the data to begin."""
        parser = expat.ParserCreate(self._encoding)
        parser.buffer_text = True
        parser.ordered_attributes = True
        if not self._at:
            self._listen(parser)
            return parser, 0
        opened = "".join(f"<{name}>" for name in self._stack).encode()
        parser.Parse(opened, False)
        self._listen(parser)
        return parser, len(opened) - self._at

    def _listen(self, parser: expat.XMLParserType) -> None:
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._between
        parser.ProcessingInstructionHandler = self._between
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._refused
        parser.DefaultHandler = self._other

    def _entity(self, *_: object) -> None:
        self._entities = True

    def _refused(self, name: str, _: bool) -> None:
        raise self._refusal(f'The entity "{name}" is not resolved.')

    def _other(self, text: str) -> None:
        if self._stack and text.startswith("&"):
            raise self._refusal(f'The entity "{text[1:-1]}" is not resolved.')

    def _refusal(self, text: str) -> _Mistake:
        return _Mistake(text, self._position())

    def _start(self, name: str, attributes: list[str]) -> None:
        if self._entities and attributes:
            self._check_references()
        self._stack.append(name)
        self._divided = False
        shown = self._name(name)
        if self._local_names:
            attributes = [part if i % 2 else self._name(part) for i, part in enumerate(attributes)]
        if self._row_depth is not None:
            if not self._skipping:
                self._events.append(Event(START, shown, attributes))
        elif shown == self._row_tag:
            self._row_depth = len(self._stack)
            self._attributes, self._events = attributes, []

    def _end(self, name: str) -> None:
        self._divided = False
        if self._row_depth is not None:
            if not self._skipping:
                self._events.append(Event(END, self._name(name)))
            if len(self._stack) == self._row_depth:
                if not self._skipping:
                    self._done.append(RowEvents(self._attributes, self._events))
                self._row_depth, self._skipping = None, False
        self._stack.pop()

    def _text(self, text: str) -> None:
        if self._row_depth is None or self._skipping:
            return
        if self._events and self._events[-1].kind == TEXT and not self._divided:
            text = self._events.pop().text + text
        self._divided = False
        self._events.append(Event(TEXT, text))

    def _between(self, *_: object) -> None:
        """Text before and behind a comment is two pieces, as in Spark."""
        self._divided = True

    def _name(self, name: str) -> str:
        return name.rpartition(":")[2] if self._local_names else name

    def _check_references(self) -> None:
        """Raise for a reference in a start tag to an entity that the document declares; expat has resolved it."""
        start = self._position()
        if _REFERENCE.search(self._data[start : self._data.find(b">", start)]):
            raise self._refusal("An entity in an attribute is not resolved.")

    def _mistaken(self, mistake: str, at: int) -> Iterator[RowEvents]:
        """A row for the mistake, unless one was given already or the document only lacks its end."""
        at_end = at >= len(self._data)
        inside = self._row_depth is not None
        goes_on = inside and not at_end and self._is_in_text(at)
        if inside and not self._skipping:
            kind = MISTAKE if goes_on else FATAL
            yield RowEvents(self._attributes, [*self._events, Event(kind, mistake)])
        elif not inside and self._data.strip() and not (at_end and self._stack):
            yield RowEvents((), [Event(FATAL, mistake)])
        self._skipping = inside
        self.more = goes_on
        self._at = max(at, self._at) + 1

    def _is_in_text(self, at: int) -> bool:
        """Whether a position is not in a tag, so that what comes behind can still be read."""
        opened = self._data.rfind(b"<", 0, at + 1)
        if self._data.rfind(b">", 0, at) > opened:
            return True
        following = self._data[opened + 1 : opened + 2]
        return _TAG_START.match(following) is None


def _as_utf8(data: bytes) -> tuple[bytes, str | None]:
    """A document in UTF-8, and what its encoding is then; None for one that says nothing, or what nobody knows."""
    declared = _ENCODING.match(data)
    name = "utf-16" if data[:2] in _UTF_16 else declared[1].decode() if declared else None
    try:
        return (data, None) if name is None else (data.decode(name, "replace").encode(), "utf-8")
    except LookupError:
        return data, None


def source_of(event: Event) -> str:
    """An event as text."""
    if event.kind == TEXT:
        return event.text
    if event.kind == END:
        return f"</{event.text}>"
    pairs = zip(event.attributes[::2], event.attributes[1::2], strict=True)
    attributes = "".join(f' {name}="{value}"' for name, value in pairs)
    return f"<{event.text}{attributes}>"
