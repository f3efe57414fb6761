"""SPAR's Lambda: the loss against a plain loop, resumption bit for bit, export."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import CorruptionError, InputError, LsrError, NotFoundError, UsageError
from lsr.train.spar.config import SparConfig
from lsr.train.spar.draws import Draws
from lsr.train.spar.training import train_lambda

WORDS = "wing flow plate shock heat layer gas lift drag jet cone body wall wave mass"


@dataclass(frozen=True)
class Texts:
    queries: list[str]
    documents: list[str]

    @property
    def digest(self):
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


@pytest.fixture(scope="module")
def dense_model(tmp_path_factory):
    """A BERT encoder with random weights over the words of the corpus."""
    folder = tmp_path_factory.mktemp("models") / "dense"
    terms = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split()]
    tokenizer = Tokenizer(
        WordPiece({term: place for place, term in enumerate(terms)}, unk_token="[UNK]")
    )
    tokenizer.add_special_tokens(terms[:4])
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(2)
    settings = transformers.BertConfig(
        vocab_size=len(terms),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    transformers.BertModel(settings).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def corpus():
    random = np.random.default_rng(3)
    documents = [" ".join(random.choice(WORDS.split(), 6)) for _ in range(40)]
    queries = [" ".join(random.choice(WORDS.split(), 2, replace=False)) for _ in range(16)]
    return Texts([*queries, "", "unheard"], [*documents, "", "wing " * 100])


def brute_force(encoder, documents, queries, depth):
    stored = encoder.encode_documents(documents)
    counts = encoder.statistics(stored) if encoder.stores_counts else None
    weights = encoder.impacts(stored, counts).to_scipy()
    scores = (encoder.encode_queries(queries, counts).to_scipy() @ weights.T).toarray()
    found = np.full((len(queries), depth), -1, dtype=np.int64)
    for row, line in enumerate(scores):
        best = [at for at in np.argsort(-line, kind="stable") if line[at] > 0][:depth]
        found[row, : len(best)] = best
    return found


def config(model, **changes):
    base = SparConfig(
        str(model),
        towers="shared",
        pooling="mean",
        depth=12,
        positives=3,
        negatives=4,
        batch_size=6,
        steps=6,
        warm_up=0.4,
        learning_rate=1e-3,
        checkpoint_every=2,
        max_length=32,
    )
    return replace(base, **changes)


@pytest.mark.parametrize("towers", ["shared", "two"])
def test_the_loss_is_that_of_a_plain_loop(dense_model, corpus, towers):
    from lsr.train.spar.lexical_model import LexicalModel

    settings = config(dense_model, towers=towers, temperature=3.0, pooling="cls")
    ranking = brute_force(load_encoder("bm25"), corpus.documents, corpus.queries, settings.depth)
    batch = Draws(ranking, settings).batch(1)
    model = LexicalModel(settings)
    loss, accuracy = model.loss(batch, corpus)

    plain = transformers.AutoModel.from_pretrained(dense_model).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(dense_model / "tokenizer.json")
    )

    def vector(text):
        ids = tokenizer(text, truncation=True, max_length=32, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return plain(ids).last_hidden_state[0, 0].double().numpy()

    losses, hits = [], []
    for place, row in enumerate(batch.queries):
        query = vector(corpus.queries[row])
        scores = {
            column: query @ vector(corpus.documents[document]) / 3
            for column, document in enumerate(batch.documents)
            if batch.allowed[place, column]
        }
        total = np.logaddexp.reduce(list(scores.values()))
        losses.append(total - scores[batch.positives[place]])
        hits.append(max(scores, key=scores.get) == batch.positives[place])
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)
    assert accuracy.item() == pytest.approx(np.mean(hits))


def weights(folder):
    return {
        f"{path.parent.name}/{name}": tensor
        for path in sorted(folder.glob("**/*.safetensors"))
        for name, tensor in load_file(path).items()
    }


class Killed(Exception):
    pass


@pytest.mark.parametrize("towers", ["shared", "two"])
def test_resumed_training_ends_in_the_same_weights(dense_model, corpus, tmp_path, towers):
    settings = config(dense_model, towers=towers)
    records = []
    whole = train_lambda(settings, corpus, brute_force, tmp_path / "whole", records.append)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]

    again, kills = [], [5, 3]

    def stop(record):
        again.append(record)
        if record["step"] == kills[-1]:
            kills.pop()
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            train_lambda(settings, corpus, brute_force, tmp_path / "cut", stop)
    # What was asked for elsewhere takes random numbers in between.
    torch.rand(7)
    cut = train_lambda(settings, corpus, brute_force, tmp_path / "cut", again.append)
    assert [record["step"] for record in again] == [1, 2, 3, 3, 4, 5, 5, 6]
    assert {record["step"]: record for record in again} == {r["step"]: r for r in records}
    expected, found = weights(whole), weights(cut)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    start = load_file(dense_model / "model.safetensors")
    assert any(not torch.equal(start[name.split("/")[1]], expected[name]) for name in expected)
    other = train_lambda(replace(settings, seed=1), corpus, brute_force, tmp_path / "other")
    assert any(not torch.equal(weights(other)[name], expected[name]) for name in expected)
    # Training that is over is exported again.
    shutil.rmtree(cut)
    train_lambda(settings, corpus, brute_force, tmp_path / "cut", again.append)
    assert len(again) == 8
    assert all(torch.equal(weights(cut)[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("towers", "pooling"), [("shared", "mean"), ("two", "cls")])
def test_the_export_is_loaded_alike_everywhere(dense_model, corpus, tmp_path, towers, pooling):
    settings = config(dense_model, towers=towers, pooling=pooling, steps=2)
    folder = train_lambda(settings, corpus, brute_force, tmp_path)
    encoder = DenseEncoder.load(str(folder))
    texts = [*corpus.queries[:3], *corpus.documents[:3], "wing " * 100, "Naïve 中文"]
    asked, written = encoder.encode_queries(texts), encoder.encode_documents(texts)
    assert np.array_equal(asked, written) == (towers == "shared")
    assert np.linalg.norm(asked, axis=1).std() > 0 or pooling == "cls"
    assert not np.allclose(np.linalg.norm(asked, axis=1), 1)
    notes = json.loads((folder / "spar.json").read_text())
    assert notes["towers"] == towers
    assert notes["teacher_fingerprint"] == load_encoder("bm25").fingerprint
    peer = pytest.importorskip("sentence_transformers")
    model = peer.SentenceTransformer(str(folder))
    assert model.similarity_fn_name == "dot"
    np.testing.assert_allclose(model.encode_query(texts), asked, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.encode_document(texts), written, rtol=1e-4, atol=1e-5)


def test_a_lambda_can_be_trained_on(dense_model, corpus, tmp_path):
    settings = config(dense_model, towers="two", steps=2)
    folder = train_lambda(settings, corpus, brute_force, tmp_path / "first")
    begun = []
    again = replace(settings, model=str(folder), learning_rate=1e-12)
    second = train_lambda(again, corpus, brute_force, tmp_path / "second", begun.append)
    first = DenseEncoder.load(str(folder)).encode_queries(["wing flow"])
    found = DenseEncoder.load(str(second)).encode_queries(["wing flow"])
    np.testing.assert_allclose(found, first, atol=1e-5)
    assert len(begun) == 2


def overlap(encoder, corpus, ranking, k):
    """Share of the teacher's top k that is in the encoder's."""
    scores = encoder.encode_queries(corpus.queries) @ encoder.encode_documents(corpus.documents).T
    shares = [
        len({*np.argsort(-line)[:k].tolist()} & {*row[:k].tolist()}) / k
        for line, row in zip(scores, ranking, strict=True)
        if row[k - 1] >= 0
    ]
    return np.mean(shares)


@pytest.mark.parametrize("teacher", ["bm25", "splade"])
def test_lambda_comes_to_rank_as_its_teacher(dense_model, masked_lm, corpus, tmp_path, teacher):
    name = f"splade:{masked_lm}" if teacher == "splade" else teacher
    settings = config(
        dense_model,
        teacher=name,
        steps=50,
        warm_up=0.1,
        learning_rate=2e-2,
        temperature=8.0,
        batch_size=16,
    )
    records = []
    folder = train_lambda(settings, corpus, brute_force, tmp_path, records.append)
    ranking = brute_force(load_encoder(name), corpus.documents, corpus.queries, settings.depth)
    before = overlap(DenseEncoder.load(str(dense_model)), corpus, ranking, 3)
    after = overlap(DenseEncoder.load(str(folder)), corpus, ranking, 3)
    assert after > before + 0.2
    losses = [record["loss"] for record in records]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_the_teacher_ranks_once(dense_model, corpus, tmp_path):
    asked = []

    def counted(*arguments):
        asked.append(arguments[3])
        return brute_force(*arguments)

    settings = config(dense_model, steps=1)
    train_lambda(settings, corpus, counted, tmp_path)
    (tmp_path / "state.safetensors").unlink()
    train_lambda(settings, corpus, counted, tmp_path)
    assert asked == [12]
    (tmp_path / "state.safetensors").unlink()
    train_lambda(replace(settings, depth=13), corpus, counted, tmp_path)
    assert asked == [12, 13]
    (tmp_path / "state.safetensors").unlink()
    for path in tmp_path.glob("rankings/*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CorruptionError, match="can't be read"):
        train_lambda(settings, corpus, counted, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda ranking: ranking[:-1], "holds another ranking"),
        (lambda ranking: ranking.astype(np.int32), "holds another ranking"),
        (lambda ranking: ranking + 99, "holds another ranking"),
        (lambda ranking: ranking - 9, "holds another ranking"),
        (lambda ranking: np.full_like(ranking, -1), "finds documents for 0 of 18 queries"),
    ],
)
def test_a_ranking_that_can_not_be_is_refused(dense_model, corpus, tmp_path, spoil, complaint):
    def retrieve(*arguments):
        return spoil(brute_force(*arguments))

    with pytest.raises((InputError, CorruptionError), match=complaint):
        train_lambda(config(dense_model), corpus, retrieve, tmp_path)


def test_a_state_of_other_settings_or_texts_is_refused(dense_model, corpus, tmp_path):
    settings = config(dense_model, steps=2)
    train_lambda(settings, corpus, brute_force, tmp_path)
    for changed, complaint in [
        (replace(settings, seed=1), "saved with seed=0, but seed=1 is asked for"),
        (replace(settings, towers="two"), "saved with towers='shared'"),
        (replace(settings, steps=3), "saved with steps=2"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            train_lambda(changed, corpus, brute_force, tmp_path)
    others = replace(corpus, documents=corpus.documents[::-1])
    with pytest.raises(UsageError, match="saved with texts="):
        train_lambda(settings, others, brute_force, tmp_path)
    moved = shutil.copytree(dense_model, tmp_path / "moved")
    same = replace(settings, model=str(moved), checkpoint_every=1)
    train_lambda(same, corpus, brute_force, tmp_path)
    tensors = load_file(moved / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, moved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="saved with start="):
        train_lambda(same, corpus, brute_force, tmp_path)


def test_a_damaged_state_is_told(dense_model, corpus, tmp_path):
    settings = config(dense_model, steps=2)
    train_lambda(settings, corpus, brute_force, tmp_path)
    state = tmp_path / "state.safetensors"
    whole = state.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no tensors at all"):
        state.write_bytes(content)
        with pytest.raises(InputError, match="is no training state"):
            train_lambda(settings, corpus, brute_force, tmp_path)
    save_file({"weight": torch.zeros(1)}, state)
    with pytest.raises(InputError, match="is no training state"):
        train_lambda(settings, corpus, brute_force, tmp_path)


def test_a_loss_that_is_no_number_stops(dense_model, corpus, tmp_path):
    settings = config(dense_model, learning_rate=1e15, warm_up=0.0, max_norm=0.0)
    with pytest.raises(LsrError, match=r"the loss of step \d+ is .*; lower learning_rate"):
        train_lambda(settings, corpus, brute_force, tmp_path)


def test_a_missing_start_is_named(corpus, tmp_path):
    with pytest.raises(NotFoundError, match=r"'\./nowhere' does not exist"):
        train_lambda(config("./nowhere"), corpus, brute_force, tmp_path)
