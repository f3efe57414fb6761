"""Queries for documents that have none, written by a chat endpoint, a document at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from lsr.chat import answered_lines
from lsr.chat_answers import KeptAnswers
from lsr.corpus.documents import Document
from lsr.train.pairs import normal
from lsr.train.query_generation import GeneratedPair

CHAT = "chat"
DOCUMENTS_AT_A_TIME = 32
# Characters of a document that are sent.
LONGEST_TEXT = 6000


def ask_for_queries(
    documents: Iterable[Document], answers: KeptAnswers, per_document: int
) -> Iterator[GeneratedPair]:
    """The queries that an endpoint writes for each document, answered by the document.

    As InPars (Bonifacio et al. 2022, arXiv:2202.05144) has them written by a language model. A
    document gives none where the endpoint fails. One without a letter is not asked about.

    Args:
        documents: in the order of the pairs.
        answers: asks the endpoint.
        per_document: the most queries of each, 1 or more.

    Raises:
        ChatError: the endpoint fails again and again.
    """
    remaining = (each for each in documents if any(map(str.isalnum, each.contents)))
    while part := list(islice(remaining, DOCUMENTS_AT_A_TIME)):
        prompts = [_prompt(document, per_document) for document in part]
        for document, answer in zip(part, answers(prompts), strict=True):
            lines = [line for line in answered_lines(answer or "") if any(map(str.isalnum, line))]
            for query in lines[:per_document]:
                if normal(query) != normal(document.contents):
                    yield GeneratedPair(query, document.contents, CHAT, document.id)


def _prompt(document: Document, count: int) -> str:
    queries = "one search query" if count == 1 else f"{count} different search queries"
    return (
        f"Write {queries} that this text answers, as people type them who have not read it, and "
        "in its language. One query a line, nothing else.\n\n"
        f"{document.contents[:LONGEST_TEXT]}"
    )
