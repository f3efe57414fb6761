"""Relevance judgements (qrels): TREC and BEIR files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lsr.corpus.files import numbered_lines
from lsr.errors import InputError

# How a header calls its columns, in lower case.
GRADES = frozenset(("score", "grade", "relevance", "rel", "label", "judgement", "judgment"))
QUERIES = frozenset(("query-id", "query_id", "queryid", "qid", "query", "topic"))
DOCUMENTS = frozenset(
    (
        *("corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "document"),
        *("document_id", "pid", "passage_id"),
    )
)
Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade."""


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read TREC qrels (query, iteration, document, grade) or BEIR's TSV (query, document, grade).

    A header that names the columns tells their order.

    Raises:
        InputError: a line is neither, the file can't be read, or it holds no judgement.
    """
    qrels: dict[str, dict[str, int]] = {}
    columns: list[int] | None = None
    for number, line in numbered_lines(path):
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not line.strip():
            continue
        if number == 1 and ((columns := _columns(cells)) or cells[-1].lower() in GRADES):
            continue
        if columns:
            cells = [cells[column] for column in columns if column < len(cells)]
        elif len(cells) == 4:
            cells = [cells[0], cells[2], cells[3]]
        try:
            query, document, grade = cells
            qrels.setdefault(query, {})[document] = int(grade)
        except ValueError:
            raise InputError(
                f"{path}:{number}: {line.strip()!r} is no judgement; lines are "
                "'query iteration document grade' or tab-separated query, document, grade"
            ) from None
    if not qrels:
        raise InputError(f"{path} holds no judgement")
    return qrels


def _columns(cells: list[str]) -> list[int] | None:
    """Where a header says that query, document and grade stand; None where it names not all."""
    names = [cell.strip().lower() for cell in cells]
    found = [
        next((place for place, name in enumerate(names) if name in known), -1)
        for known in (QUERIES, DOCUMENTS, GRADES)
    ]
    return None if -1 in found else found


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write TREC qrels, one ``query 0 document grade`` a line.

    Raises:
        InputError: an id holds white space, which the format can't; then nothing is written.
    """
    for query, judgements in qrels.items():
        for identifier in (query, *judgements):
            check_trec_id(identifier)
    with path.open("w", encoding="utf-8") as stream:
        for query, judgements in qrels.items():
            for document, grade in judgements.items():
                stream.write(f"{query} 0 {document} {grade}\n")


def check_trec_id(identifier: str) -> None:
    """Raise InputError if a TREC file can't hold the id."""
    if not identifier or len(identifier.split()) != 1 or identifier != identifier.strip():
        raise InputError(
            f"the id {identifier!r} holds white space, which TREC files can't hold; "
            "rename it, or leave out --save-run and --save-qrels"
        )
