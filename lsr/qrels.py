"""Relevance judgements (qrels): TREC and BEIR files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lsr.errors import InputError
from lsr.readers import numbered_lines

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade."""


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read TREC qrels (query, iteration, document, grade) or BEIR's TSV (query, document, grade).

    Raises:
        InputError: a line is neither, the file can't be read, or it holds no judgement.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in numbered_lines(path):
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 1 and cells[-1] == "score"):
            continue
        if len(cells) == 4:
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
