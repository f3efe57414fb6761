"""Documents from HTML: the title, and the text that a reader sees, with its headings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lsr.corpus.readers.file_text import FileText, TextWriter, decoded
from lsr.errors import InputError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

HEAD = 4096
DECLARED = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
DEEPEST = 4096
TAGS = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Tags that end by themselves, so that many of them are no nesting.
UNNESTED = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dd",
        "dt",
        "tr",
        "td",
        "th",
        "thead",
        "tbody",
        "tfoot",
        "option",
        "optgroup",
        "colgroup",
        "rp",
        "rt",
        "html",
        "head",
        "body",
    ]
)
UNSEEN = frozenset(
    [
        "head",
        "script",
        "style",
        "template",
        "noscript",
        "svg",
        "math",
        "iframe",
        "object",
        "canvas",
        "select",
        "nav",
    ]
)
INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
CELLS = frozenset(("td", "th"))
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))


def read_html(data: bytes) -> FileText:
    """The text of a page; navigation, scripts and styles left out.

    Raises:
        InputError: it is no text, or nested too deeply to be a page.
    """
    from selectolax.lexbor import LexborHTMLParser

    found = DECLARED.search(data, 0, HEAD)
    text, notes = decoded(data, found[1].decode("ascii", "replace") if found else None)
    _check_nesting(text)
    page = LexborHTMLParser(text)
    title = page.css_first("head > title")
    writer = _PageWriter()
    if page.body is not None:
        writer.walk(page.body)
    heading = next((section.heading for section in writer.text.finish().sections), "")
    named = " ".join(title.text().split()) if title is not None else ""
    return writer.text.finish(named or heading, notes)


def _check_nesting(text: str) -> None:
    """Raise InputError where tags are open by the thousand, which no parser does in fair time."""
    depth = 0
    for tag in TAGS.finditer(text):
        if tag[2].lower() not in UNNESTED:
            depth = max(depth - 1, 0) if tag[1] else depth + 1
            if depth > DEEPEST:
                raise InputError(f"its tags are nested more than {DEEPEST} deep")


class _PageWriter:
    """Goes through a tree of HTML, in the order of the page."""

    def __init__(self) -> None:
        self.text = TextWriter()
        self._line: list[str] = []
        # How many of each are open.
        self._preformatted = self._headings = 0

    def walk(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
            tag = node.tag or ""
            inside = self._enter(node, tag)
            if inside and node.child is not None:
                node = node.child
                continue
            while node is not None:
                self._leave(node.tag or "")
                if node.mem_id == root.mem_id:
                    node = None
                elif node.next is not None:
                    node = node.next
                    break
                else:
                    node = node.parent
        self._flush()

    def _enter(self, node: LexborNode, tag: str) -> bool:
        """Take what a node says; whether what is inside is to be seen."""
        if tag == "-text":
            self._write(node.text_content or "")
        elif tag == "br":
            self._line.append("\n")
        elif tag in CELLS:
            self._line.append(" ")
        elif tag not in INLINE:
            self._flush()
        self._preformatted += tag == "pre"
        self._headings += tag in HEADINGS
        return tag not in UNSEEN

    def _leave(self, tag: str) -> None:
        self._preformatted -= tag == "pre"
        if tag not in INLINE and tag not in CELLS and tag not in ("br", "-text", "-comment"):
            self._flush()
        self._headings -= tag in HEADINGS

    def _write(self, text: str) -> None:
        self._line.append(text if self._preformatted else re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        text = "".join(self._line)
        self._line.clear()
        if self._headings:
            self.text.heading(text)
            return
        # White space beside a break of line is not seen; that before preformatted text is.
        self.text.block(re.sub(r" *\n", "\n", text) if "\n" in text else text.strip())
