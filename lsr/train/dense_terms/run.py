"""Dense terms from pairs to the encoder: vectors, fit, log, and the folder that comes out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint, is_folder
from lsr.backbones.torch_runtime import transformers
from lsr.corpus.files import user_path
from lsr.distribution import installed_versions
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder, TransformerEncoder
from lsr.encoders.dense_terms import TermVectors
from lsr.encoders.encoder import split_name
from lsr.encoders.masked_lm import PooledLogits
from lsr.encoders.packaged import PACKAGED, packaged_checkpoint
from lsr.encoders.two_sided import TwoSidedEncoder
from lsr.errors import UsageError
from lsr.train.config_file import to_toml
from lsr.train.dense_terms.config import DenseTermsConfig, DenseTermsTrainingConfig
from lsr.train.dense_terms.export import export_dense_terms
from lsr.train.dense_terms.fitting import Queries, fit_term_vectors
from lsr.train.dense_terms.student import Lesson, Student
from lsr.train.model_card import markdown_table, without_paths
from lsr.train.pairs import PairSource, TrainingCorpus
from lsr.train.run import CONFIG, PACKAGES, PLOT, Watching
from lsr.train.trainer import LOG
from lsr.train.training_log import Entry, TrainingLog, draw, plot, read_log
from lsr.train.vector_cache import dense_vectors
from lsr.trusted_code import NO_CODE, TrustedCode

ENCODER, STUDENT = "encoder", "student"
MODEL, STATE = "model", "state.safetensors"


@dataclass(frozen=True)
class DenseTermsReport:
    """What came out of a making of dense terms."""

    # Folder of the encoder, and the name that loads it.
    folder: Path
    encoder: str
    # The picture of the log.
    plot: Path
    # Steps of the fit.
    steps: int
    # Time of this run.
    seconds: float
    # What its last step measured.
    last: Entry
    # What the last step of the student measured, where there is one.
    student: Entry | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return asdict(self) | {"folder": str(self.folder), "plot": str(self.plot)}


def run_dense_terms(
    config: DenseTermsTrainingConfig,
    output: Path,
    cache: Path,
    watching: Watching,
    trusted: TrustedCode = NO_CODE,
) -> DenseTermsReport:
    """Fit vectors of terms as configured, and write encoder, configuration, log and plot.

    What the dense model makes of the texts is kept in ``cache``, and the student's training writes
    checkpoints, so that a run which was interrupted goes on with them; the fit takes seconds and
    begins anew.

    Args:
        config: of the making.
        output: folder of everything that is written, made if need be.
        cache: folder of vectors, which trainings may share.
        watching: who is told what.
        trusted: the models whose Python code may run.

    Raises:
        UsageError: the base is none that dense terms can be added to.
        NotFoundError: there is no such model.
        InputError: no query can be used, a model is damaged, or no student can be made of it.
        LsrError: the loss of the student is no longer a number.
    """
    started = time.perf_counter()
    # What the end needs is missed at the beginning.
    toml = to_toml(config)
    draw([])
    transformers()
    settings = config.dense_terms
    base, encoder = _base(settings.base, trusted)
    dense, model = _dense(config)
    sources = [PairSource(one.path, one.limit or None) for one in config.sources]
    corpus = TrainingCorpus.build(sources, settings.seed, 0.0, watching.on_rejected)
    corpus.say_unused(watching.on_rejected, "queries and documents are taken one by one")
    output.mkdir(parents=True, exist_ok=True)
    vectors = _Vectors(corpus, cache, watching)
    reader, learned = dense, None
    if config.student:
        place = output / STUDENT
        lesson = Lesson(corpus.documents, vectors.documents(dense), corpus.digest)
        learned = _taught(Student(model, config.student, settings.seed), lesson, place, watching)
        model = Checkpoint.resolve(str(place / MODEL))
        reader = TransformerEncoder(model)
    table = _fit(encoder, vectors, (dense, reader), settings, output / LOG, watching)
    folder = output / ENCODER
    # Queries are weighed, and words counted, as the encoder that ships with lsr has it.
    packaged = settings.base in PACKAGED
    name = f"{settings.base}:{folder},words=yes" if packaged else str(folder)
    card = _card(config, name, corpus.sampled, toml)
    export_dense_terms(folder, base, model, table, settings, card)
    (output / CONFIG).write_text(toml, encoding="utf-8")
    plot(output / LOG, output / PLOT)
    last, seconds = read_log(output / LOG)[-1], time.perf_counter() - started
    return DenseTermsReport(folder, name, output / PLOT, last.step, seconds, last, learned)


def _taught(student: Student, lesson: Lesson, folder: Path, watching: Watching) -> Entry:
    """Train a student to the end, and write its model, log and state into a folder.

    Returns:
        What its last step measured.
    """
    folder.mkdir(exist_ok=True)
    state = folder / STATE
    begun = student.resume(state, lesson)
    with TrainingLog(folder / LOG, begun or None) as log:

        def on_step(step: int, steps: int, loss: float, rate: float, reached: float | None) -> None:
            measures = {} if reached is None else {"cosine": reached}
            log.write(Entry(step, loss, lr=rate, measures=measures))
            watching.on_progress("steps of the student", step, steps)

        student.learn(lesson, begun, state, on_step)
    student.export(folder / MODEL, {})
    return read_log(folder / LOG)[-1]


def _fit(
    encoder: TwoSidedEncoder,
    vectors: _Vectors,
    models: tuple[TransformerEncoder, TransformerEncoder],
    settings: DenseTermsConfig,
    path: Path,
    watching: Watching,
) -> TermVectors:
    """The vectors and means of an encoder's terms; each step is logged.

    ``models`` are the dense model, and what encodes documents in its place, which may be the same.
    """
    dense, reader = models
    queries = Queries(encoder.encode_queries(vectors.corpus.queries), vectors.queries(dense))
    with TrainingLog(path) as log:

        def on_fit(step: int, steps: int, loss: float, rate: float, reached: float | None) -> None:
            measures = {} if reached is None else {"cosine": reached}
            entry = Entry(step, loss, lr=rate, measures=measures)
            log.write(entry)
            watching.on_step(entry, steps)

        fitted = fit_term_vectors(queries, vectors.start(dense, encoder), settings, on_fit)
    fitted[sorted(encoder.vocabulary.special)] = 0
    sample = vectors.documents(reader, settings.documents).astype(np.float32)
    return TermVectors(fitted, fitted @ sample.mean(axis=0))


class _Vectors:
    """What dense models make of the texts, kept in files."""

    def __init__(self, corpus: TrainingCorpus, cache: Path, watching: Watching) -> None:
        self.corpus, self._cache, self._watching = corpus, cache, watching

    def queries(self, model: TransformerEncoder) -> NDArray[np.float16]:
        """Of all queries."""
        return self._of(model, f"{self.corpus.digest}-queries", list(self.corpus.queries), True)

    def documents(self, model: TransformerEncoder, count: int | None = None) -> NDArray[np.float16]:
        """Of the first so many documents, or of all; their order is as good as random."""
        texts = list(self.corpus.documents[:count])
        return self._of(model, f"{self.corpus.digest}-first-{len(texts)}", texts, False)

    def start(self, model: TransformerEncoder, encoder: TwoSidedEncoder) -> NDArray[np.float32]:
        """Of each term as it is spelled by itself, less the mean of all."""
        tokens = map(encoder.vocabulary.token, range(encoder.vocabulary.size))
        texts = [encoder.spelled_part(token) for token in tokens]
        name = f"{encoder.vocabulary.digest}-terms"
        alone = self._of(model, name, texts, True).astype(np.float32)
        alone -= alone.mean(axis=0)
        return alone

    def _of(
        self, model: TransformerEncoder, name: str, texts: list[str], queries: bool
    ) -> NDArray[np.float16]:
        path = self._cache / f"{model.fingerprint}-{name}.npy"
        return dense_vectors(path, model, texts, queries, self._watching.on_progress)


def _dense(config: DenseTermsTrainingConfig) -> tuple[TransformerEncoder, Checkpoint]:
    """The dense encoder, and its files."""
    name = config.dense_terms.model
    dense = DenseEncoder.load(name)
    plain, *options = split_name(name)
    if not isinstance(dense, TransformerEncoder) or (options and not config.student):
        allowed = "one dense model" if config.student else "one dense model without options"
        raise UsageError(f"model is {name!r}; allowed is {allowed}, a folder or hub id")
    return dense, Checkpoint.resolve(name if is_folder(user_path(name)) else plain)


def _base(name: str, trusted: TrustedCode) -> tuple[Checkpoint, TwoSidedEncoder]:
    """The files of a sparse encoder, and the encoder without words and earlier dense terms."""
    packaged = name in PACKAGED
    if not packaged and (len(split_name(name)) > 1 or not is_folder(user_path(name))):
        raise UsageError(
            f"base is {name!r}; allowed are the folder of a sparse encoder, without options, "
            f"{' and '.join(PACKAGED)}"
        )
    loaded = load_encoder(f"{name},words=no", trusted)
    if not isinstance(loaded, TwoSidedEncoder) or not isinstance(loaded.document, PooledLogits):
        raise UsageError(
            f"the documents of {name!r} go through no masked language model; give an encoder "
            "of whose documents dense terms can be a part"
        )
    return packaged_checkpoint(name) if packaged else Checkpoint.resolve(name, trusted), loaded


def _reader(config: DenseTermsTrainingConfig) -> str:
    """What encodes documents, in words."""
    dense = f"the dense model {config.dense_terms.model}"
    if not config.student:
        return dense
    layers = ", ".join(map(str, config.student.layers))
    return f"a student of {dense}, trained from its layers {layers} to make its vectors,"


def _card(config: DenseTermsTrainingConfig, encoder: str, counts: Sequence[int], toml: str) -> str:
    from huggingface_hub import ModelCardData

    settings = config.dense_terms
    data = ModelCardData(
        license=config.licence.lower(),
        tags=["sparse-encoder", "sparse", "learned-sparse-retrieval", "lsr"],
        base_model=[without_paths(settings.base), without_paths(settings.model)],
    )
    rows = [
        (one.path, f"{count:,}", one.licence)
        for one, count in zip(config.sources, counts, strict=True)
    ]
    versions = [f"{name} {version}" for name, version in installed_versions(PACKAGES).items()]
    parts = [
        f"# {Path(config.output).name}",
        f"The sparse encoder {settings.base}, whose documents have beside its terms up to "
        f"{settings.top:,} that {_reader(config)} puts near them (lsr's dense terms). Queries "
        f"are those of {settings.base}: the dense model does not run for them. The licences of "
        "both models and of the data hold for this one.",
        f"With lsr: `lsr index FILES --encoder {shlex.quote(encoder)}`. sentence-transformers "
        "loads the sparse encoder alone, without dense terms.",
        markdown_table(("data", "pairs", "licence"), rows),
        f"Versions: {', '.join(versions)}.",
        f"```toml\n{toml.rstrip()}\n```",
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(map(without_paths, parts)) + "\n"
