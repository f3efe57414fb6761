"""The items of a bulk body: counted and found first, then parsed one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsr.corpus.documents import Document, parse_document
from lsr.corpus.json_values import parse_json
from lsr.errors import InputError
from service.api.bodies import (
    CLOSING,
    OPENING,
    TOKEN,
    MalformedBodyError,
    check_depth,
    check_values,
)

MOST_ITEMS = 50_000
MOST_VALUES = 1_000_000
MOST_ITEM_VALUES = 100_000
LARGEST_ITEM = 8 << 20
LONGEST_TEXT = 1_000_000
LONGEST_REASON = 300
WHITE_SPACE = b" \t\r\n"
BEGINNING = re.compile(rb"(?P<mark>\xef\xbb\xbf)?[ \t\r\n]*+(?P<array>\[)?")


def parse_items(body: bytes | bytearray) -> list[Document | InputError]:
    """The document of each item of a body, or the reason why it is none.

    In a JSON array all must be JSON; of NDJSON a line that is none spoils nothing but itself.

    Args:
        body: a JSON array of documents, or NDJSON with one a line, UTF-8.

    Raises:
        InputError: the body holds no document, or more items or JSON values than are allowed.
        MalformedBodyError: it is an array that is no JSON.
    """
    beginning = BEGINNING.match(body)
    assert beginning is not None  # it matches nothing at all, too
    is_array = beginning["array"] is not None
    found = _elements(body) if is_array else _lines(body, len(beginning["mark"] or b""))
    spans = []
    for span in found:
        spans.append(span)
        if len(spans) > MOST_ITEMS:
            raise InputError(f"the body holds more than {MOST_ITEMS} items; send fewer at once")
    if not spans:
        raise InputError("the body holds no document; send a JSON array or one document a line")
    if not is_array and sum(map(body.count, (b",", *OPENING))) > MOST_VALUES:
        check_values(body, MOST_VALUES, "the body")
    return [_item(bytes(body[start:end]), is_array) for start, end in spans]


def _lines(body: bytes | bytearray, start: int) -> Iterator[tuple[int, int]]:
    """Places of the lines that aren't blank."""
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if body[start:end].strip(WHITE_SPACE):
            yield start, end
        start = end + 1


def _elements(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Places of what stands between the commas of the array that a body is.

    Raises:
        InputError: the body holds too many JSON values.
        MalformedBodyError: it isn't one array.
    """
    depth = values = start = elements = 0
    for token in TOKEN.finditer(body):
        mark = token[0]
        values += mark == b"," or mark in OPENING
        if values > MOST_VALUES:
            raise InputError(f"the body holds more than {MOST_VALUES} JSON values; send fewer")
        if mark in OPENING:
            depth += 1
            start = token.end() if depth == 1 else start
        elif mark == b"," and depth == 1:
            yield start, token.start()
            start, elements = token.end(), elements + 1
        elif mark in CLOSING:
            depth -= 1
            if depth == 0:
                break
    if depth != 0 or mark != b"]" or body[token.end() :].strip(WHITE_SPACE):
        raise MalformedBodyError(
            "not valid JSON: the body is more or less than an array; send one array"
        )
    if elements or body[start : token.start()].strip(WHITE_SPACE):
        yield start, token.start()


def _item(item: bytes, of_array: bool) -> Document | InputError:
    try:
        if len(item) > LARGEST_ITEM:
            raise InputError(
                f"the document has {len(item)} bytes of JSON; allowed are {LARGEST_ITEM}, split it"
            )
        check_values(item, MOST_ITEM_VALUES, "the document")
        check_depth(item, "the document")
    except InputError as error:
        return error
    try:
        record = parse_json(item.decode())
    except (InputError, UnicodeDecodeError) as error:
        if of_array:
            raise MalformedBodyError(_sentence(error)) from None
        return InputError(_sentence(error))
    try:
        return _checked(parse_document(record))
    except InputError as error:
        return InputError(_sentence(error))


def _checked(document: Document) -> Document:
    length = len(document.title) + len(document.text)
    if length > LONGEST_TEXT:
        raise InputError(
            f"the document has {length} characters of title and text; allowed are {LONGEST_TEXT}, "
            "split it"
        )
    return document


def _sentence(error: InputError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"the item is not UTF-8 at its byte {error.start}; send UTF-8"
    reason = str(error)
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."
