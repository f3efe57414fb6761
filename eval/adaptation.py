"""An encoder adapted to a collection: trained on it, compared, and kept only where it is better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from eval.adaptation_pairs import judge_texts, read_drawn
from eval.adaptation_report import Adapted, BeforeAfter, tell_card
from eval.adaptation_training import (
    PAIRS,
    AdaptationConfig,
    begin,
    draw_pairs,
    measure_before,
    train_encoder,
    training_config,
)
from eval.adapted_encoder import Adaptable, mean_non_zeros
from eval.judged_search import judge_search
from index.collection.collection import Collection
from index.collection.writable import Writable
from index.collection.writer_lock import at_rest
from index.indexing import index_documents
from index.opening import open_or_create
from index.reencoding import Reencoding
from index.search.config import SearchConfig
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.corpus.qrels import Qrels
from lsr.encoding.progress import Progress, Totals
from lsr.errors import InputError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.whole_folder import exchange

if TYPE_CHECKING:
    from lsr.train.pairs import TrainingCorpus
    from lsr.train.query_generation import GeneratedPair
    from lsr.train.run import Watching

MEASURE = "nDCG@10"
# Documents among which held-out queries are searched, their own among them.
SEARCHED = 5000
# Seconds that the swap waits for writers.
LONGEST_WAIT = 60.0
COLLECTION = "collection"


def adapt(
    path: Path,
    work: Path,
    config: AdaptationConfig,
    watching: Watching,
    judged: tuple[Mapping[str, str], Qrels] | None = None,
    swap: bool = True,
    trusted: TrustedCode = NO_CODE,
) -> Adapted:
    """Train a collection's encoder on the collection, and use it there if it is better.

    Pairs are drawn from the documents: titles, headings, spans and keywords, each with what it is
    from, and queries of a chat endpoint. What the collection finds for a query, its own document
    aside, are its hard negatives. Teachers are BM25, the dense encoder where the collection has
    one, and the encoder as it is. The adapted one is better where its gain on the pairs that were
    kept aside is above 0 with 95 % confidence, and, where there are judged queries, is above 0 on
    these too. Then the documents are encoded by it into a new collection that takes the place of
    the old.

    Args:
        path: of the collection.
        work: folder of all that is made; a run that was interrupted goes on in it. The encoder
            stays there.
        config: see there.
        watching: who is told of the training, and of documents that are encoded anew.
        judged: queries and judgements to compare with besides.
        swap: whether the collection gets the encoder; otherwise it is only compared.
        trusted: the models whose Python code may run.

    Raises:
        UsageError: the encoder can't be trained, the collection is too small, or the work folder
            is of another adaptation.
        InputError: the adapted encoder can't encode a document.
    """
    with closing(Collection.open(path, trusted=trusted)) as collection:
        adaptable = Adaptable.of(collection, trusted)
        begin(work, collection, config)
        corpus = draw_pairs(collection, work, config, watching)
        before = measure_before(work, collection, adaptable, corpus, config.seed)
        settings = training_config(adaptable, work, config, before.training_nnz)
        student = train_encoder(settings, corpus, work, watching, trusted)
        pairs = read_drawn(work / PAIRS)
        encoders = adaptable.over(adaptable.checkpoint.folder), adaptable.over(student)
        held_out = _held_out(encoders, collection, corpus, pairs, work)
        nnz = mean_non_zeros(adaptable.closed_over(student), collection, config.seed)
        reported = partial(Adapted, encoders[1], len(pairs), (before.nnz, nnz), held_out)
        if judged is None and (held_out.gain.low <= 0 or not swap):
            found = reported(None, False, None, _why_not(held_out, None, swap))
        else:
            made = work / COLLECTION
            with closing(_opened(collection, made, encoders[1], adaptable.dense, trusted)) as new:
                copy = Reencoding(collection, new, _Steps(watching, len(collection)))
                copy.check_texts()
                copy.catch_up()
                by_people = None if judged is None else _judged(collection, new, judged)
                reason = _why_not(held_out, by_people, swap)
                if not reason:
                    with at_rest(path, LONGEST_WAIT):
                        copy.catch_up()
                        new.close()
                        _exchange(made, path)
            found = reported(by_people, not reason, None if reason else made, reason)
        kinds = Counter(pair.kind for pair in pairs)
        tell_card(student, found, path.name, kinds, [each.name for each in settings.teachers])
        return found


def _why_not(held_out: BeforeAfter, judged: BeforeAfter | None, swap: bool) -> str:
    """Why the collection stays as it is; empty where the adapted encoder is better."""
    if held_out.gain.low <= 0:
        return "the gain on the pairs that were kept aside may be chance"
    if judged is not None and judged.gain.mean <= 0:
        return "the judged queries gain nothing"
    return "" if swap else "nothing was to be changed"


def _held_out(
    encoders: Sequence[str],
    collection: Collection,
    corpus: TrainingCorpus,
    pairs: Sequence[GeneratedPair],
    work: Path,
) -> BeforeAfter:
    """Both encoders on the queries that were kept aside, among texts of the same collection.

    All texts that come from a query's document are right for it.
    """
    held = corpus.held_out
    texts = list(held.documents.values())
    texts += islice(corpus.documents, max(0, SEARCHED - len(texts)))
    documents = [Document(str(place), text) for place, text in enumerate(dict.fromkeys(texts))]
    qrels = judge_texts(collection, pairs, held.queries, documents)
    values = []
    for name, encoder in zip(("before", "after"), encoders, strict=True):
        with closing(open_or_create(work / name, encoder, passages="off")) as small:
            index_documents(small, (Item("text", int(each.id), each) for each in documents))
            values.append(_values(small, held.queries, qrels))
    return BeforeAfter.of(*values)


def _opened(
    old: Collection, path: Path, encoder: str, dense: str | None, trusted: TrustedCode
) -> Writable:
    """A collection as the old one but for the first encoder; what a run before left is used."""
    bm25 = sum(field.kind == "sparse" for field in old.fields) > 1
    return open_or_create(path, encoder, dense, bm25, trusted, old.passages)


def _exchange(made: Path, path: Path) -> None:
    try:
        exchange(made, path)
    except OSError as error:
        raise UsageError(
            f"{made} and {path} can't be exchanged ({error.strerror}); give a --work folder on the "
            f"disk of the collection, or use {made} in its place"
        ) from error


def _judged(old: Collection, new: Writable, judged: tuple[Mapping[str, str], Qrels]) -> BeforeAfter:
    """Both collections by their first sparse field alone."""
    return BeforeAfter.of(_values(old, *judged), _values(new, *judged))


def _values(collection: Writable, queries: Mapping[str, str], qrels: Qrels) -> dict[str, float]:
    field = next(field for field in collection.fields if field.kind == "sparse")
    config = SearchConfig(using=field.name, limit=10, payload=False, highlight=False)
    found = judge_search(collection, queries, qrels, config, [MEASURE], by_query=True)
    assert found.per_query is not None
    return {query: values[MEASURE] for query, values in found.per_query.items()}


class _Steps(Progress):
    def __init__(self, watching: Watching, documents: int) -> None:
        self._watching, self._documents = watching, documents

    def chunk(self, totals: Totals) -> None:
        """Tell how many are done with."""
        self._watching.on_progress("encoding", totals.read, self._documents)

    def rejected(self, sentence: str) -> None:
        """Nothing is left out: the collection stays as it is."""
        raise InputError(f"a document can't be encoded, so the collection stays: {sentence}")
