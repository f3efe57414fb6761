"""Relevance judgements (qrels) as TREC files."""

from __future__ import annotations

from pathlib import Path

from lsr.errors import InputError
from lsr.qrels import Qrels


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write TREC qrels, one ``query 0 document grade`` a line.

    Raises:
        InputError: an id holds white space, which the format can't.
    """
    with path.open("w", encoding="utf-8") as stream:
        for query, judgements in qrels.items():
            for document, grade in judgements.items():
                check_trec_id(query)
                check_trec_id(document)
                stream.write(f"{query} 0 {document} {grade}\n")


def check_trec_id(identifier: str) -> None:
    """Raise InputError if a TREC file can't hold the id."""
    if not identifier or len(identifier.split()) != 1 or identifier != identifier.strip():
        raise InputError(
            f"the id {identifier!r} holds white space, which TREC files can't hold; "
            "rename it, or leave out --save-run and --save-qrels"
        )
