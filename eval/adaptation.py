"""An encoder adapted to a collection: trained on it, compared, and kept only where it is better."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.adaptation_pairs import DrawnPairs, kinds_of
from eval.adapted_encoder import INFERENCE_FREE, Adaptable, mean_non_zeros
from eval.judged_search import judge_search
from eval.judged_set import training_judge
from eval.significance import Interval, mean_interval, paired_scores
from index.collection.collection import Collection
from index.collection.writable import Writable
from index.collection.writer_lock import at_rest
from index.indexing import index_documents
from index.mining import retrieve
from index.opening import open_or_create
from index.reencoding import Reencoding
from index.search.config import SearchConfig
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.corpus.qrels import Qrels
from lsr.encoding.progress import Progress, Totals
from lsr.errors import InputError, UsageError
from lsr.settings import check_range
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.whole_file import write_whole
from lsr.whole_folder import exchange

if TYPE_CHECKING:
    from lsr.train.config import TrainingConfig
    from lsr.train.pairs import TrainingCorpus
    from lsr.train.run import TrainingReport, Watching

MEASURE = "nDCG@10"
# Steps and pairs for a minute of training on two cores, teachers included.
STEPS_A_MINUTE, PAIRS_A_MINUTE = 80, 600
# Documents among which held-out queries are searched, their own among them.
SEARCHED = 5000
FEWEST_HELD_OUT = 30
# Seconds that the swap waits for writers.
LONGEST_WAIT = 60.0
# Documents of a pair that count as wrong, drawn from the first that the collection finds.
NEGATIVES_OF_PAIR, DEPTH = 4, 30
PAIRS, ENCODER, COLLECTION = "pairs.jsonl.xz", "encoder", "collection"
ANSWERS = "answers.jsonl"


@dataclass(frozen=True, slots=True)
class AdaptationConfig:
    """How long is trained, and on what."""

    # About how long it takes on two cores.
    minutes: float = 20.0
    # Share of the queries that are kept aside to compare with.
    held_out: float = 0.1
    # Decides what is drawn.
    seed: int = 1
    # The highest of the training.
    learning_rate: float = 5e-5
    # Share of the weights as they were in the adapted ones, the rest being trained.
    base_share: float = 0.5
    # Documents of which a chat endpoint is asked for queries.
    chat: int = 0

    def __post_init__(self) -> None:
        check_range("chat", self.chat, 0, 1_000_000)
        check_range("learning_rate", self.learning_rate, 1e-12)
        check_range("base_share", self.base_share, 0, 0.99)
        check_range("minutes", self.minutes, 0.01, 24 * 60)
        check_range("held_out", self.held_out, 0.01, 0.5)
        check_range("seed", self.seed, 0, 2**32 - 1)

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return max(1, round(STEPS_A_MINUTE * self.minutes))

    @property
    def pairs(self) -> int:
        """Pairs that are drawn at most."""
        return max(200, round(PAIRS_A_MINUTE * self.minutes))


@dataclass(frozen=True)
class BeforeAfter:
    """A measure by the encoder that a collection has, and by the adapted one.

    ``gain`` is the mean of the queries' differences with its 95 % interval.
    """

    queries: int
    before: float
    after: float
    gain: Interval

    @classmethod
    def of(cls, before: Mapping[str, float], after: Mapping[str, float]) -> BeforeAfter:
        """Of the values of the same queries, two or more."""
        new, old = paired_scores(after, before)
        return cls(len(old), float(old.mean()), float(new.mean()), mean_interval(list(new - old)))


@dataclass(frozen=True)
class Adapted:
    """What came of it.

    ``held_out`` and ``judged`` compare by the pairs that were kept aside and by judged queries,
    where there are some. ``encoder`` is the adapted encoder's name; ``swapped`` whether the
    collection has it now, and ``former`` then is where the collection as it was lies.
    """

    encoder: str
    pairs: int
    nnz: tuple[float, float]
    held_out: BeforeAfter
    judged: BeforeAfter | None
    swapped: bool
    former: Path | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return asdict(self) | {"former": None if self.former is None else str(self.former)}


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

    Pairs are drawn from the documents: titles, headings, spans, crops and keywords, each with what
    it is from. Teachers are BM25, the dense encoder where the collection has one, and the encoder
    as it is. The adapted one is better where its gain on the pairs that were kept aside is above 0
    with 95 % confidence, and, where there are judged queries, is above 0 on these too. Then the
    documents are encoded by it into a new collection that takes the place of the old.

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
        work.mkdir(parents=True, exist_ok=True)
        nnz = _begun(work, collection, adaptable, config)
        _draw_pairs(collection, work, config, watching)
        settings = training_config(adaptable, work, config, nnz)
        student, corpus = _train(settings, work, watching, trusted)
        after = adaptable.over(student)
        held_out = _held_out(adaptable.over(adaptable.checkpoint.folder), after, corpus, work)
        new_nnz = mean_non_zeros(adaptable.closed_over(student), collection, config.seed)
        pairs = kinds_of(work / PAIRS)
        found = partial(Adapted, after, pairs.total(), (nnz, new_nnz), held_out)
        if held_out.gain.low <= 0:
            reason = "the gain on the pairs that were kept aside may be chance"
            return found(None, False, None, reason)
        if judged is None and not swap:
            return found(None, False, None, "nothing was to be changed")
        made = work / COLLECTION
        with closing(_opened(collection, made, after, adaptable.dense, trusted)) as new:
            copy = Reencoding(collection, new, _Steps(watching, len(collection)))
            copy.check_texts()
            copy.catch_up()
            by_people = None if judged is None else _judged(collection, new, judged)
            if by_people is not None and by_people.gain.mean <= 0:
                return found(by_people, False, None, "the judged queries gain nothing")
            if not swap:
                return found(by_people, False, None, "nothing was to be changed")
            with at_rest(path, LONGEST_WAIT):
                copy.catch_up()
                new.close()
                _exchange(made, path)
        return found(by_people, True, made, "")


def training_config(
    adaptable: Adaptable, work: Path, config: AdaptationConfig, nnz: float
) -> TrainingConfig:
    """How the encoder is trained: from its own weights, on the pairs, with as many terms."""
    from lsr.backbones.declared import declared_literal, declared_logs, declared_top_k
    from lsr.backbones.transformer_settings import declared_length
    from lsr.train.config import (
        BatchConfig,
        EvaluationConfig,
        LossConfig,
        MiningConfig,
        OptimizerConfig,
        SourceConfig,
        SparsityConfig,
        TeacherConfig,
        TrainingConfig,
    )
    from lsr.train.model_config import ModelConfig

    checkpoint, free = adaptable.checkpoint, adaptable.family == INFERENCE_FREE
    model = ModelConfig(
        adaptable.base,
        base_name=adaptable.name.partition(",")[0],
        queries="idf" if free else "model",
        idf=adaptable.base if free else "training",
        logs=declared_logs(checkpoint, "document"),
        query_logs=0 if free else declared_logs(checkpoint, "query"),
        literal=declared_literal(checkpoint).weight if free else 0.0,
        export_length=declared_length(checkpoint, "document"),
        top_k=declared_top_k(checkpoint),
        base_share=config.base_share,
    )
    teachers = [TeacherConfig("bm25"), TeacherConfig(adaptable.closed)]
    if adaptable.dense is not None:
        teachers.append(TeacherConfig(f"dense:{adaptable.dense}"))
    sparse = SparsityConfig("flops", target_nnz=max(1.0, nnz), warm_up=0.1)
    return TrainingConfig(
        model,
        OptimizerConfig(config.steps, config.learning_rate, warm_up=0.05),
        (SourceConfig(str(work / PAIRS), licence="that of the collection"),),
        (LossConfig("kl"),),
        tuple(teachers),
        teacher_scale=20.0,
        documents=sparse,
        queries=SparsityConfig() if free else SparsityConfig("flops", strength=1e-3),
        batches=BatchConfig(32, order="topics"),
        mining=MiningConfig(depth=50, pool=50),
        evaluation=EvaluationConfig(every=0, held_out=config.held_out),
        output=str(work / ENCODER),
        seed=config.seed,
        checkpoint_every=100,
    )


def _begun(
    work: Path, collection: Collection, adaptable: Adaptable, config: AdaptationConfig
) -> float:
    """Terms of a document before, which a run that was interrupted has counted already.

    Raises:
        UsageError: the folder holds the work of another adaptation.
    """
    file = work / "adaptation.json"
    fields = [field.fingerprint for field in collection.fields]
    facts = asdict(config) | {"collection": collection.store.identity, "fields": fields}
    if not file.exists():
        nnz = mean_non_zeros(adaptable.closed, collection, config.seed)
        write_whole(file, json.dumps(facts | {"nnz": nnz}))
        return nnz
    known = json.loads(file.read_text(encoding="utf-8"))
    if known != facts | {"nnz": known.get("nnz")}:
        raise UsageError(
            f"{work} holds an adaptation of another collection, or with other settings; delete it, "
            "or give another folder"
        )
    return float(known["nnz"])


def _draw_pairs(
    collection: Collection, work: Path, config: AdaptationConfig, watching: Watching
) -> None:
    """Write the pairs, unless they are there."""
    from lsr.chat import ChatEndpoint
    from lsr.chat_answers import KeptAnswers

    file = work / PAIRS
    if file.exists():
        return
    answers = None
    if config.chat:
        answers = KeptAnswers(work / ANSWERS, ChatEndpoint.from_environment())
    drawn = DrawnPairs(config.pairs, config.chat, NEGATIVES_OF_PAIR, DEPTH, config.seed)
    drawn.write(collection, file, answers, watching.on_progress)
    if answers is not None and answers.failed:
        watching.on_rejected(f"the chat endpoint gave no queries for {answers.failed:,} documents")


def _train(
    settings: TrainingConfig, work: Path, watching: Watching, trusted: TrustedCode
) -> tuple[Path, TrainingCorpus]:
    """The folder of the trained encoder, and what it was trained on."""
    from lsr.train.run import Tools, run_training, training_corpus

    corpus = training_corpus(settings, lambda sentence: None)
    if len(corpus.held_out.queries) < FEWEST_HELD_OUT:
        raise UsageError(
            f"the documents give {len(corpus.held_out.queries)} queries to compare with, and "
            f"{FEWEST_HELD_OUT} are needed; index more documents, or raise --held-out"
        )
    ranked = partial(retrieve, on_progress=watching.on_progress)
    tools = Tools(ranked, training_judge, trusted)
    folder = work / ENCODER
    cache = folder / "teachers"
    report: TrainingReport = run_training(settings, folder, cache, tools, watching, corpus)
    return report.student, corpus


def _held_out(before: str, after: str, corpus: TrainingCorpus, work: Path) -> BeforeAfter:
    """Both encoders on the queries that were kept aside, among texts of the same collection."""
    held = corpus.held_out
    texts = list(held.documents.items())
    others = islice(corpus.documents, max(0, SEARCHED - len(texts)))
    texts += [(f"other{place}", text) for place, text in enumerate(others)]
    values = []
    for name, encoder in (("before", before), ("after", after)):
        with closing(open_or_create(work / name, encoder, passages="off")) as small:
            items = (
                Item("document", place, Document(identifier, text))
                for place, (identifier, text) in enumerate(texts)
            )
            index_documents(small, items)
            values.append(_values(small, held.queries, held.qrels))
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
