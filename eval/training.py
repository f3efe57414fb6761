"""A training as a TOML file says: a sparse encoder, dense terms, SPAR's Lambda, a cross-encoder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from eval.judged_set import training_judge
from index.mining import retrieve
from lsr.backbones.torch_runtime import transformers
from lsr.encoding.progress import LoggedProgress
from lsr.errors import UsageError
from lsr.train.vector_cache import no_progress
from lsr.trusted_code import NO_CODE, TrustedCode

if TYPE_CHECKING:
    from lsr.train.dense_terms.run import DenseTermsReport
    from lsr.train.reranker.run import CrossEncoderReport
    from lsr.train.run import TrainingReport, Watching
    from lsr.train.spar.run import SparReport


def require_packages() -> None:
    """Raise MissingDependencyError where torch or transformers is missing: trainings need both."""
    transformers("training", "train")


def train(
    config: Path,
    output: Path | None = None,
    cache: Path | None = None,
    watching: Watching | None = None,
    trusted: TrustedCode = NO_CODE,
) -> TrainingReport | DenseTermsReport | SparReport | CrossEncoderReport:
    """Train as a configuration says, or go on where a run of it was interrupted.

    The student is scored, while it is trained, on the dataset that the configuration names, or on
    the pairs that are kept aside.

    Args:
        config: a TOML file; its ``kind`` is "sparse" where it has none, "dense-terms", "spar" or
            "cross-encoder";
            a sparse one may name a ``preset`` of ``lsr.train.training_presets``.
        output: folder of everything that is written; None: the configuration's.
        cache: folder of the teachers' vectors, which trainings may share; None: ``teachers`` in
            the output folder.
        watching: who is told what; None: pairs that can't be used are warned of.
        trusted: the models whose Python code may run; a configuration can't say so.

    Raises:
        NotFoundError: there is no such configuration.
        InputError: it is no TOML, or there is a fault in the pairs.
        UsageError: it has unknown keys or values, or a cache is given and "spar" has no use for it.
        CollapseError: the training went wrong beyond repair.
        MissingDependencyError: a package that training needs is not installed.
    """
    require_packages()
    from lsr.train.config import TrainingConfig
    from lsr.train.config_file import parse_config, read_toml
    from lsr.train.dense_terms.config import KIND, DenseTermsTrainingConfig
    from lsr.train.dense_terms.run import run_dense_terms
    from lsr.train.reranker.config import CrossEncoderTrainingConfig
    from lsr.train.reranker.run import run_cross_encoder
    from lsr.train.run import Tools, Watching, run_training
    from lsr.train.spar.run import SparTrainingConfig, run_spar
    from lsr.train.training_presets import with_preset

    warned = LoggedProgress().rejected
    watching = watching or Watching(lambda entry, steps: None, no_progress, warned)
    ranked = partial(retrieve, on_progress=watching.on_progress)
    tables = read_toml(config)
    kind = tables.pop("kind", "sparse")
    if kind == "sparse":
        sparse = parse_config(with_preset(tables), TrainingConfig)
        folder = output or Path(sparse.output)
        tools = Tools(ranked, training_judge, trusted)
        return run_training(sparse, folder, cache or folder / "teachers", tools, watching)
    if kind == "cross-encoder":
        pairs = parse_config({"kind": kind} | tables, CrossEncoderTrainingConfig)
        folder = output or Path(pairs.output)
        cache = cache or folder / "teachers"
        return run_cross_encoder(pairs, folder, cache, ranked, watching, trusted)
    if kind == KIND:
        joined = parse_config({"kind": kind} | tables, DenseTermsTrainingConfig)
        folder = output or Path(joined.output)
        return run_dense_terms(joined, folder, cache or folder / "teachers", watching, trusted)
    if kind != "spar":
        raise UsageError(
            f"kind is {kind!r}; allowed are 'sparse', 'dense-terms', 'spar' and 'cross-encoder'"
        )
    if cache is not None:
        raise UsageError('--cache is given, but kind = "spar" has no vectors of teachers')
    spar = parse_config({"kind": kind} | tables, SparTrainingConfig)
    return run_spar(spar, output or Path(spar.output), ranked, watching, trusted)
