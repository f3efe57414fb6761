"""Which reader reads a file, by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lsr.corpus.files import suffix_within
from lsr.corpus.readers.docx import read_docx
from lsr.corpus.readers.file_text import FileText
from lsr.corpus.readers.html import read_html
from lsr.corpus.readers.markdown import read_markdown
from lsr.corpus.readers.pdf import read_pdf
from lsr.corpus.readers.plain_text import read_plain_text
from lsr.corpus.readers.restructured_text import read_restructured_text
from lsr.corpus.readers.source_code import read_source_code

Parse = Callable[[bytes], FileText]

JSON_ENDINGS = (".jsonl", ".json", ".ndjson")
TABLE_ENDINGS = (".csv", ".tsv")
PARQUET_ENDINGS = (".parquet", ".pq")
# Of these a file holds many documents.
ROW_ENDINGS = (*JSON_ENDINGS, *TABLE_ENDINGS, *PARQUET_ENDINGS)
# Of these it is one.
DOCUMENT_ENDINGS: dict[str, Parse] = {
    **dict.fromkeys((".txt", ".text", ".log", ".adoc", ".org", ".pod"), read_plain_text),
    **dict.fromkeys((".tex", ".texi", ".texinfo"), read_plain_text),
    **dict.fromkeys((".md", ".markdown", ".mdx"), read_markdown),
    **dict.fromkeys((".rst", ".rest"), read_restructured_text),
    **dict.fromkeys((".html", ".htm", ".xhtml"), read_html),
    ".pdf": read_pdf,
    ".docx": read_docx,
}
CODE_ENDINGS = frozenset(
    [
        ".asm",
        ".awk",
        ".bash",
        ".bat",
        ".c",
        ".cc",
        ".cfg",
        ".cjs",
        ".clj",
        ".cmake",
        ".cmd",
        ".conf",
        ".cpp",
        ".cs",
        ".css",
        ".cxx",
        ".d",
        ".dart",
        ".el",
        ".erl",
        ".ex",
        ".exs",
        ".f",
        ".f90",
        ".fish",
        ".for",
        ".fs",
        ".go",
        ".gradle",
        ".graphql",
        ".groovy",
        ".h",
        ".hh",
        ".hpp",
        ".hs",
        ".hxx",
        ".ini",
        ".java",
        ".jl",
        ".js",
        ".jsx",
        ".kt",
        ".kts",
        ".less",
        ".lisp",
        ".lua",
        ".m",
        ".mjs",
        ".mk",
        ".ml",
        ".mli",
        ".mm",
        ".nim",
        ".pas",
        ".php",
        ".perl",
        ".pl",
        ".pm",
        ".properties",
        ".proto",
        ".ps1",
        ".py",
        ".pyi",
        ".pyx",
        ".r",
        ".rb",
        ".rkt",
        ".rs",
        ".s",
        ".scala",
        ".scm",
        ".scss",
        ".sh",
        ".sql",
        ".sv",
        ".swift",
        ".tcl",
        ".tf",
        ".thrift",
        ".toml",
        ".ts",
        ".tsx",
        ".v",
        ".vb",
        ".vhd",
        ".vim",
        ".yaml",
        ".yml",
        ".zig",
        ".zsh",
    ]
)
# Names under which texts stand whatever their ending, as README.Debian or changelog.gz.
TEXT_NAMES = frozenset(
    [
        "authors",
        "changelog",
        "changes",
        "contributing",
        "copying",
        "copyright",
        "faq",
        "history",
        "install",
        "licence",
        "license",
        "news",
        "notice",
        "readme",
        "thanks",
        "todo",
    ]
)
KNOWN = (
    ".jsonl, .json, .csv, .tsv, .parquet, .txt, .md, .rst, .html, .pdf, .docx and source code, "
    "plain, .gz or .xz"
)


def document_reader(path: Path) -> Parse | None:
    """What reads a file that is one document; None where its ending tells none."""
    ending = suffix_within(path)
    if ending in CODE_ENDINGS:
        return read_source_code
    if ending not in DOCUMENT_ENDINGS and path.name.split(".")[0].lower() in TEXT_NAMES:
        return read_plain_text
    return DOCUMENT_ENDINGS.get(ending)
