"""Evaluation in both directions: the documents of a test collection as queries over its topics.

Where both sides are texts of a kind, as résumés and job posts, either is searched by the other
(ConFit, Yu et al. 2024, arXiv:2401.16349, ranks jobs for résumés and résumés for jobs).
"""

from __future__ import annotations

from dataclasses import replace

from eval.datasets import Dataset
from eval.results import REVERSED
from eval.suite import Suite
from lsr.corpus.chunks import distinct_chunks
from lsr.corpus.documents import Document, Query
from lsr.corpus.items import Item
from lsr.errors import InputError, UsageError


def reverse(dataset: Dataset) -> Dataset:
    """The same judgements the other way: judged documents are the queries, topics the documents.

    A query's text is the document's contents; a topic keeps its id and its text. Documents that no
    topic was judged to be answered by are left out, for nothing could be right for them, and so are
    those that the corpus lacks; the caveats say how many. Reads the corpus.

    Raises:
        InputError: no document is left.
    """
    qrels: dict[str, dict[str, int]] = {}
    for topic in dataset.queries:
        for document, grade in dataset.qrels[topic.id].items():
            qrels.setdefault(document, {})[topic.id] = grade
    right = {name for name, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
    texts = {
        document.id: document.contents
        for chunk in distinct_chunks(dataset.corpus(), lambda sentence: None)
        for document in chunk.documents
        if document.id in right
    }
    if not texts:
        raise InputError(
            f"no document of {dataset.name!r} answers a topic, so there is nothing to ask the "
            "other way; leave out --both-ways"
        )
    topics = [
        Item(dataset.name, number, Document(topic.id, topic.text))
        for number, topic in enumerate(dataset.queries, start=1)
    ]
    return replace(
        dataset,
        name=dataset.name + REVERSED,
        corpus=lambda: topics,
        queries=[Query(name, texts[name]) for name in qrels if name in texts],
        qrels={name: judged for name, judged in qrels.items() if name in texts},
        caveats=_left_out(len(qrels) - len(right), len(right) - len(texts)),
    )


def both_ways(suite: Suite) -> Suite:
    """A suite with each data set, and then each turned round, as ``reverse`` does.

    Raises:
        InputError: as for ``reverse``.
        UsageError: a data set has the name of another one that is turned round.
    """
    turned = {label + REVERSED: reverse(each) for label, each in suite.datasets.items()}
    if twice := turned.keys() & suite.datasets.keys():
        raise UsageError(f"the data set {min(twice)!r} has the name of a reversed one; rename it")
    groups = {label + REVERSED: group + REVERSED for label, group in suite.groups.items()}
    return Suite({**suite.datasets, **turned}, {**suite.groups, **groups}, suite.missing)


def _left_out(unanswering: int, missing: int) -> list[str]:
    """One sentence on the judged documents that are no query; none where all are."""
    parts = []
    if unanswering:
        parts.append(f"{unanswering:,} that no topic was judged to be answered by")
    if missing:
        parts.append(f"{missing:,} that the corpus lacks")
    return [f"of the judged documents, left out are {' and '.join(parts)}"] if parts else []
