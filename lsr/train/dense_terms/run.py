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
from lsr.encoders.dense import TransformerEncoder
from lsr.encoders.dense_terms import TermVectors
from lsr.encoders.encoder import split_name
from lsr.encoders.masked_lm import PooledLogits
from lsr.encoders.packaged import DEFAULT_ENCODER, packaged_checkpoint
from lsr.encoders.two_sided import TwoSidedEncoder
from lsr.errors import UsageError
from lsr.train.config_file import to_toml
from lsr.train.dense_terms.config import DenseTermsConfig, DenseTermsTrainingConfig
from lsr.train.dense_terms.export import export_dense_terms
from lsr.train.dense_terms.fitting import Queries, fit_term_vectors
from lsr.train.model_card import markdown_table, without_paths
from lsr.train.pairs import PairSource, TrainingCorpus
from lsr.train.run import CONFIG, PACKAGES, PLOT, Watching
from lsr.train.trainer import LOG
from lsr.train.training_log import Entry, TrainingLog, draw, plot, read_log
from lsr.train.vector_cache import dense_vectors
from lsr.trusted_code import NO_CODE, TrustedCode

ENCODER = "encoder"


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

    What the dense model makes of the texts is kept in ``cache``, so that a run which was
    interrupted goes on with it; the fit takes seconds and begins anew.

    Args:
        config: of the making.
        output: folder of everything that is written, made if need be.
        cache: folder of vectors, which trainings may share.
        watching: who is told what.
        trusted: the models whose Python code may run.

    Raises:
        UsageError: the base is none that dense terms can be added to.
        NotFoundError: there is no such model.
        InputError: no query can be used, or a model is damaged.
    """
    started = time.perf_counter()
    # What the end needs is missed at the beginning.
    toml = to_toml(config)
    draw([])
    transformers()
    settings = config.dense_terms
    base, encoder = _base(settings.base, trusted)
    model = Checkpoint.resolve(settings.model)
    sources = [PairSource(one.path, one.limit or None) for one in config.sources]
    corpus = TrainingCorpus.build(sources, settings.seed, 0.0, watching.on_rejected)
    corpus.say_unused(watching.on_rejected, "queries and documents are taken one by one")
    output.mkdir(parents=True, exist_ok=True)
    vectors = _Vectors(TransformerEncoder(model), corpus, cache, watching)
    table = _fit(encoder, vectors, settings, output / LOG, watching)
    folder = output / ENCODER
    # Queries are weighed, and words counted, as the encoder that ships with lsr has it.
    packaged = settings.base == DEFAULT_ENCODER
    name = f"{DEFAULT_ENCODER}:{folder},words=yes" if packaged else str(folder)
    card = _card(config, name, corpus.sampled, toml)
    export_dense_terms(folder, base, model, table, settings, card)
    (output / CONFIG).write_text(toml, encoding="utf-8")
    plot(output / LOG, output / PLOT)
    last, seconds = read_log(output / LOG)[-1], time.perf_counter() - started
    return DenseTermsReport(folder, name, output / PLOT, last.step, seconds, last)


def _fit(
    encoder: TwoSidedEncoder,
    vectors: _Vectors,
    settings: DenseTermsConfig,
    path: Path,
    watching: Watching,
) -> TermVectors:
    """The vectors and means of an encoder's terms; each step is logged."""
    queries = Queries(encoder.encode_queries(vectors.corpus.queries), vectors.queries())
    with TrainingLog(path) as log:

        def on_fit(step: int, steps: int, loss: float, rate: float, reached: float | None) -> None:
            measures = {} if reached is None else {"cosine": reached}
            entry = Entry(step, loss, lr=rate, measures=measures)
            log.write(entry)
            watching.on_step(entry, steps)

        fitted = fit_term_vectors(queries, vectors.start(encoder), settings, on_fit)
    fitted[sorted(encoder.vocabulary.special)] = 0
    return TermVectors(fitted, fitted @ vectors.documents(settings).mean(axis=0))


class _Vectors:
    """What the dense model makes of the texts, kept in files."""

    def __init__(
        self, dense: TransformerEncoder, corpus: TrainingCorpus, cache: Path, watching: Watching
    ) -> None:
        self._dense, self.corpus, self._watching = dense, corpus, watching
        self._stem = cache / dense.fingerprint

    def queries(self) -> NDArray[np.float16]:
        """Of all queries."""
        return self._of(f"{self.corpus.digest}-queries", list(self.corpus.queries), True)

    def documents(self, settings: DenseTermsConfig) -> NDArray[np.float32]:
        """Of the documents by which means are taken; their order is as good as random."""
        texts = list(self.corpus.documents[: settings.documents])
        kept = self._of(f"{self.corpus.digest}-first-{len(texts)}", texts, False)
        return kept.astype(np.float32)

    def start(self, encoder: TwoSidedEncoder) -> NDArray[np.float32]:
        """Of each term as it is spelled by itself, less the mean of all."""
        tokens = map(encoder.vocabulary.token, range(encoder.vocabulary.size))
        texts = [encoder.spelled_part(token) for token in tokens]
        alone = self._of(f"{encoder.vocabulary.digest}-terms", texts, True).astype(np.float32)
        alone -= alone.mean(axis=0)
        return alone

    def _of(self, name: str, texts: list[str], queries: bool) -> NDArray[np.float16]:
        path = self._stem.with_name(f"{self._stem.name}-{name}.npy")
        return dense_vectors(path, self._dense, texts, queries, self._watching.on_progress)


def _base(name: str, trusted: TrustedCode) -> tuple[Checkpoint, TwoSidedEncoder]:
    """The files of a sparse encoder, and the encoder without words and earlier dense terms."""
    packaged = name == DEFAULT_ENCODER
    if not packaged and (len(split_name(name)) > 1 or not is_folder(user_path(name))):
        raise UsageError(
            f"base is {name!r}; allowed are the folder of a sparse encoder, without options, and "
            f"{DEFAULT_ENCODER}"
        )
    loaded = load_encoder(f"{name},words=no", trusted)
    if not isinstance(loaded, TwoSidedEncoder) or not isinstance(loaded.document, PooledLogits):
        raise UsageError(
            f"the documents of {name!r} go through no masked language model; give an encoder "
            "of whose documents dense terms can be a part"
        )
    return packaged_checkpoint(name) if packaged else Checkpoint.resolve(name, trusted), loaded


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
        f"The sparse encoder {settings.base}, to whose documents up to {settings.top:,} terms are "
        f"added that the dense model {settings.model} puts near them (lsr's dense terms). Queries "
        f"are those of {settings.base}: the dense model does not run for them. The licences of "
        "both models and of the data hold for this one.",
        f"With lsr: `lsr index FILES --encoder {shlex.quote(encoder)}`. sentence-transformers "
        "loads the sparse encoder alone, without dense terms.",
        markdown_table(("data", "pairs", "licence"), rows),
        f"Versions: {', '.join(versions)}.",
        f"```toml\n{toml.rstrip()}\n```",
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(map(without_paths, parts)) + "\n"
