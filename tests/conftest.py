"""Fixtures that every package's tests share."""

import os
import socket
import tempfile
from pathlib import Path

import hypothesis
import pytest

from lsr.threads import wait_passively

# Bytes that temporary files may need at once, several times over.
ROOM = 4 << 30


def in_memory(folder="/dev/shm"):
    """A folder whose files are in memory, or None where it has too little room, or runs nothing.

    Most of what many tests take is the wait for a disk to sync; to a process that is killed it
    makes no difference.
    """
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    runs = not found.f_flag & os.ST_NOEXEC
    return folder if runs and found.f_bavail * found.f_frsize >= ROOM else None


wait_passively()
if "TMPDIR" not in os.environ and (memory := in_memory()) is not None:
    os.environ["TMPDIR"] = tempfile.tempdir = memory
os.environ["HF_HUB_OFFLINE"] = "1"
# It asks a host of its makers, whose absence would be in the log of some later test.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Fewer examples than Hypothesis' 100, so that the gate stays short.
# How long an example takes says more about what else the machine does than about the code; and
# fixtures and classes are shared by examples on purpose.
hypothesis.settings.register_profile(
    "lsr",
    max_examples=50,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.differing_executors,
    ],
)
hypothesis.settings.load_profile("lsr")

ROOT = Path(__file__).parent.parent
FREQUENT = ["[CLS]", "[SEP]", "apple", "banana", "cherry", "lemon", "number", "pie", "plum", "wing"]
ASSETS = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared"))


def pytest_collection_modifyitems(items):
    """Begin with the long files; skip, visibly, what needs assets that are not there."""
    items.sort(key=lambda item: "long" not in item.keywords)
    if ASSETS.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no test collections and models at {ASSETS}")
    for item in items:
        if "assets" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of test collections and models; use with the marker ``assets``."""
    return ASSETS


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory) -> Path:
    """A BERT masked language model with random weights over the packaged vocabulary.

    Its bias leaves a text some hundred terms, among them FREQUENT ones: without it there are
    20,000, and whatever looks at terms takes seconds.
    """
    return _save_bert(tmp_path_factory.mktemp("models") / "masked-lm", "BertForMaskedLM", seed=1)


@pytest.fixture(scope="session")
def dense_model(tmp_path_factory) -> Path:
    """A BERT encoder with random weights over the packaged vocabulary."""
    return _save_bert(tmp_path_factory.mktemp("models") / "dense", "BertModel", seed=2)


def _save_bert(folder: Path, architecture: str, seed: int) -> Path:
    import torch
    import transformers

    from lsr.vocabulary import Vocabulary

    torch.manual_seed(seed)
    vocabulary = Vocabulary.bert_uncased()
    config = transformers.BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    model = getattr(transformers, architecture)(config)
    if architecture == "BertForMaskedLM":
        bias = torch.full((vocabulary.size,), -6.0)
        bias[[vocabulary.term(token) for token in FREQUENT]] = 0
        model.get_output_embeddings().bias.data = bias
    model.save_pretrained(folder)
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    return folder
