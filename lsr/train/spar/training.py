"""SPAR: a dense lexical model, Lambda, that learns to rank as a sparse encoder does.

Chen et al. 2022, "Salient Phrase Aware Dense Retrieval: Can a Dense Retriever Imitate a Sparse
One?" (arXiv 2110.06918), with the settings of facebookresearch/dpr-scale (``spar/``).
Concatenated with another dense encoder it gives SPAR: ``lsr.encoders.dense.ConcatenatedEncoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lsr.encoders.catalogue import load_encoder
from lsr.train.negatives import RANKINGS, Retrieve, Texts, kept_ranking
from lsr.train.spar.config import SparConfig
from lsr.train.spar.draws import Draws
from lsr.trusted_code import NO_CODE, TrustedCode

OnStep = Callable[[dict[str, float]], None]
STATE, MODEL, SETTINGS = "state.safetensors", "model", "spar.json"


def train_lambda(
    config: SparConfig,
    texts: Texts,
    retrieve: Retrieve,
    folder: Path,
    on_step: OnStep = lambda record: None,
    trusted: TrustedCode = NO_CODE,
) -> Path:
    """Train Lambda, from where the folder's training state ends if it has one.

    On a CPU with the same number of threads, training that was cut off and resumed gives the same
    weights, bit for bit, as training in one go. The folder gets the teacher's ranking, which is
    made once, the training state, and at the end the model with ``spar.json``, its settings and
    the identities of teacher, texts and start.

    Args:
        config: the settings.
        texts: training queries, and the documents that the teacher ranks.
        retrieve: finds the teacher's best documents.
        folder: where everything is written; created where needed.
        on_step: takes ``step`` (from 1), ``loss``, ``accuracy`` (share of the queries whose drawn
            document scores highest) and ``learning_rate`` after each step.
        trusted: the models whose Python code may run.

    Returns:
        The folder of the model, in sentence-transformers' layout.

    Raises:
        InputError: the teacher finds too little, or the start can't be used.
        NotFoundError: there is no such start or teacher.
        UsageError: the training state is of other settings or texts.
        LsrError: the loss is no longer a number.
    """
    from lsr.backbones.torch_runtime import transformers

    transformers()
    from lsr.train.spar.lexical_model import LexicalModel

    folder.mkdir(parents=True, exist_ok=True)
    teacher = load_encoder(config.teacher, trusted)
    model = LexicalModel(config)
    facts = asdict(config) | {
        "teacher_fingerprint": teacher.fingerprint,
        "texts": texts.digest,
        "start": model.start,
    }
    begun = model.resume(folder / STATE, facts)
    if begun < config.steps:
        draws = Draws(
            kept_ranking(retrieve, teacher, texts, config.depth, folder / RANKINGS), config
        )
        for step in range(begun, config.steps):
            record = model.step(step, draws.batch(step), texts)
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                model.save_state(folder / STATE, step + 1, facts)
            on_step(record)
    model.export(folder / MODEL, {SETTINGS: facts})
    return folder / MODEL
