"""Pools of several systems' best documents for a person to judge, and the file of judgements."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.run import Run
from lsr.corpus.qrels import check_trec_id, read_qrels
from lsr.errors import InputError
from lsr.whole_file import write_whole

HEADER = "query-id\tcorpus-id\tscore\n"
GRADES = (0, 1, 2, 3)


def pool(runs: Sequence[Run], queries: Sequence[str], depth: int) -> dict[str, list[str]]:
    """The documents that any system ranks among its first, for each query that has some.

    Which system found a document, and how high, must not sway who judges it: documents stand in an
    order that depends on ids alone, the same in each session.

    Args:
        runs: a ranking of each query by each system.
        queries: ids, in the order of the result.
        depth: how many of each ranking.
    """
    found = {}
    for query in queries:
        documents = {document for run in runs for document, _ in run.get(query, ())[:depth]}
        if documents:
            found[query] = sorted(documents, key=lambda document: _shuffled(query, document))
    return found


def _shuffled(query: str, document: str) -> tuple[bytes, str]:
    return hashlib.blake2b(repr((query, document)).encode(), digest_size=8).digest(), document


class JudgementFile:
    """Judgements in a file that is whole after each answer, however the process ends.

    A file that ends in ``.tsv`` is BEIR's (a header, then query, document and grade), any other is
    TREC's. What is there already is kept.

    Args:
        path: of the file; its folder is made with the first answer.

    Raises:
        InputError: the file is there and malformed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_beir = path.suffix == ".tsv"
        self.qrels: dict[str, dict[str, int]] = {}
        if path.exists() and path.read_bytes().strip() not in (b"", HEADER.strip().encode()):
            self.qrels = read_qrels(path)

    def __len__(self) -> int:
        return sum(map(len, self.qrels.values()))

    def grade(self, query: str, document: str) -> int | None:
        """What a document was judged to be; None where it was not."""
        return self.qrels.get(query, {}).get(document)

    def judge(self, query: str, document: str, grade: int) -> None:
        """Keep an answer."""
        self.qrels.setdefault(query, {})[document] = grade
        self._write()

    def take_back(self, query: str, document: str) -> None:
        """Forget an answer."""
        del self.qrels[query][document]
        if not self.qrels[query]:
            del self.qrels[query]
        self._write()

    def check_ids(self, pools: Mapping[str, Sequence[str]]) -> None:
        """Raise InputError where the file can't hold the id of a query or of a document."""
        for query, documents in pools.items():
            for identifier in (query, *documents):
                if not self._is_beir:
                    check_trec_id(identifier)
                elif set(identifier) & set("\t\r\n") or identifier != identifier.strip():
                    raise InputError(
                        f"the id {identifier!r} holds a tab, a line's end or white space at its "
                        "ends, which a .tsv of judgements can't hold; rename it"
                    )

    def _write(self) -> None:
        lines = [
            f"{query}\t{document}\t{grade}\n" if self._is_beir
            else f"{query} 0 {document} {grade}\n"
            for query, grades in self.qrels.items()
            for document, grade in grades.items()
        ]  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, (HEADER if self._is_beir else "") + "".join(lines))
