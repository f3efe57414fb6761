"""What a model card says, and what it keeps to itself."""

import dataclasses
import re

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lsr.backbones.checkpoint import Checkpoint
from lsr.train.export import Exported, export_encoder
from lsr.train.model_card import ModelCard, Result, Source, without_paths
from tests.lsr.encoders import published

CONFIG = """\
# The recipe of "ours"
[model]
base = "/home/jane/My Models/splade-tiny"
teacher = 'splade:/srv/models/teacher,max_length=512'

[[data]]
path = "~jane/corpora/pairs.jsonl.xz"   # ```
windows = "C:\\\\Users\\\\jane\\\\pairs.tsv"
url = "https://example.org/data/pairs.jsonl"
relative = "../shared/train"
"""
CARD = ModelCard(
    name="ours",
    settings=Exported("table", logs=2, max_length=128, top_k=150),
    licence="Apache-2.0",
    base_model="someone/bert-tiny",
    base_licence="MIT",
    sources=[Source("GooAQ | part 1", 12_345, "Apache-2.0"), Source("titles", 7, "CC-BY-4.0")],
    config=CONFIG,
    command="lsr train /home/jane/recipes/ours.toml --into /tmp/out/",
    results=[
        Result("SciFact", "nDCG@10", 0.61234),
        Result("/data/my set", "Recall@100", 0.9),
        Result("MED", "nDCG@10", float("nan")),
    ],
    nnz={"document": 118.42, "query": 7.5},
    flops=1.234,
    seconds=7380,
    hardware="2 CPU cores",
    versions={"lsr": "0.1.0", "torch": "2.13.0"},
)


def metadata(text):
    return yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))


def test_the_front_matter_is_what_the_hub_reads():
    text = CARD.markdown()
    found = metadata(text)
    assert found["license"] == "apache-2.0"
    assert found["language"] == ["en"]
    assert found["base_model"] == "someone/bert-tiny"
    assert found["library_name"] == "sentence-transformers"
    assert found["pipeline_tag"] == "feature-extraction"
    assert {"sparse-encoder", "sparse", "splade", "learned-sparse-retrieval"} < set(found["tags"])
    assert "inference-free" in found["tags"]
    card = huggingface_hub.ModelCard(text)
    results = card.data.eval_results
    assert [(r.dataset_name, r.dataset_type, r.metric_type, r.metric_value) for r in results] == [
        ("SciFact", "scifact", "ndcg_at_10", 0.61234),
        ("my set", "my-set", "recall_at_100", 0.9),
    ]
    assert card.data.model_name == "ours"
    assert card.text.lstrip().startswith("# ours\n")


def test_the_text_has_every_number_and_licence():
    text = CARD.markdown()
    for line in [
        "| GooAQ \\| part 1 | 12,345 | Apache-2.0 |",
        "| titles | 7 | CC-BY-4.0 |",
        "| SciFact | nDCG@10 | 0.6123 |",
        "| MED | nDCG@10 | nan |",
        "It was trained from someone/bert-tiny (licence: MIT) and is licensed under Apache-2.0.",
        "On average 118.4 non-zeros a document, 7.5 non-zeros a query, 1.23 terms shared by a "
        "query and a document (FLOPS).",
        "Made by `lsr train ours.toml --into out`. It took 2.0 hours on 2 CPU cores.",
        "Versions: lsr 0.1.0, torch 2.13.0.",
    ]:
        assert line in text.splitlines(), line
    assert "log(1 + log(1 + relu(z)))" in text
    assert "The 150 largest weights" in text
    assert "128 tokens" in text


def test_the_recipe_is_word_for_word_but_for_paths():
    block = re.search(r"^(`{4,})toml\n(.*?)\n\1$", CARD.markdown(), re.MULTILINE | re.DOTALL)
    expected = CONFIG
    for path, name in {
        "/home/jane/My Models/splade-tiny": "splade-tiny",
        "/srv/models/teacher": "teacher",
        "~jane/corpora/pairs.jsonl.xz": "pairs.jsonl.xz",
        "C:\\\\Users\\\\jane\\\\pairs.tsv": "pairs.tsv",
    }.items():
        expected = expected.replace(path, name)
    assert block[2] == expected.rstrip()
    assert "jane" not in CARD.markdown()


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (
            Exported(document="mlp", query="own-terms", logs=2, query_logs=1),
            ["linear layer, which weighs each term of the text. Queries go through",
             "log(1 + relu(z)) of the largest logit z of each term that the text has; 256 tokens",
             "no such components, and refuses it"],
        ),
        (
            Exported(document="cls-mlm", queries="table"),
            ["a term's logit z at [CLS]. Queries are weighed by a table", "no such components"],
        ),
        (
            Exported(document="embeddings", query="mlp", towers="separate"),
            ["largest product z", "each side has a model of its own", "no such components"],
        ),
        (
            Exported(towers="separate"),
            ["Queries and documents go through a masked language model each", "SparseEncoder("],
        ),
    ],
)  # fmt: skip
def test_the_card_says_what_each_side_is(settings, sentences):
    text = dataclasses.replace(CARD, settings=settings).markdown()
    for sentence in sentences:
        assert sentence in text
    assert ("inference-free" in metadata(text)["tags"]) == (settings.queries == "table")


def test_what_was_not_measured_is_not_claimed():
    card = ModelCard("m", Exported(), "MIT", "b/m", "MIT", [Source("d", 1, "MIT")], "", "lsr train")
    text = card.markdown()
    found = metadata(text)
    assert "model-index" not in found
    assert "inference-free" not in found["tags"]
    assert "Not evaluated." in text
    assert "It took" not in text
    assert "Versions" not in text
    assert "Queries and documents go through a masked language model" in text
    short = dataclasses.replace(card, seconds=20.0).markdown()
    assert "It took about a minute." in short
    assert "It took 3 minutes." in dataclasses.replace(card, seconds=170.0).markdown()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("/a", "a"),
        ("/a/b/", "b"),
        ("x=/a/b y", "x=b y"),
        ("see (/a/b.txt), /c/d.", "see (b.txt), d."),
        ("file:///a/b", "b"),
        ("~/a b", "a b"),
        ("~root/a/b", "b"),
        ('"/a b/c d"', '"c d"'),
        ("'splade:/a b/c,k=1'", "'splade:c,k=1'"),
        ("bm25:/a/b,k1=2", "bm25:b,k1=2"),
        ("C:\\a\\b.txt", "b.txt"),
        ('"D:/a b/c"', '"c"'),
        ("/a:/b", "a:b"),
        ("| /a/b |", "| b |"),
    ],
)
def test_paths_are_cut_to_names(text, cut):
    assert without_paths(text) == cut


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a/b?c=/d",
        '"https://example.org/a/b"',
        "documents/s, and/or, 1/2, a / b",
        "owner/model and ../shared/x and ./y",
        "<s> text </s>",
        "nDCG@10: 0.5 // a comment",
        "about ~5 minutes, '~5'",
    ],
)
def test_what_is_no_absolute_path_stays(text):
    assert without_paths(text) == text


NAMES = st.lists(st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True), min_size=2, max_size=5)


@given(NAMES, st.sampled_from(['"%s"', "'%s'", "x = %s", "%s", "lsr train %s --seed 1", "(%s)"]))
def test_no_folder_of_a_path_is_left(names, around):
    names = [f"d{name}" for name in names]
    path = "/" + "/".join(names)
    assert without_paths(around % path) == around % names[-1]


@pytest.mark.parametrize("queries", ["model", "table"])
def test_its_examples_run(tmp_path, monkeypatch, queries):
    pytest.importorskip("sentence_transformers")
    published.roberta_mlm(tmp_path / "trained")
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "trained")
    vocabulary = Checkpoint.resolve(str(tmp_path / "trained")).vocabulary
    table = np.ones(vocabulary.size, np.float32) if queries == "table" else None
    card = dataclasses.replace(CARD, name="encoder", settings=Exported(queries, max_length=64))
    folder = tmp_path / "encoder"
    export_encoder(folder, model, vocabulary, card.settings, table)
    card.write(folder)
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scores = []
    for block in blocks:
        names = {}
        exec(block, names)
        pair = names["scores"]
        scores.append(float((pair if isinstance(pair, torch.Tensor) else pair.toarray())[0, 0]))
    assert len(scores) == 2
    assert scores[0] > 0
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
