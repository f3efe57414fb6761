"""A cross-encoder scores as transformers does, each pair once, whatever happened before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import InputError, UsageError
from lsr.rerankers.cross_encoder import CrossEncoder, CrossEncoderConfig
from lsr.train import cross_encoder
from lsr.train.cross_encoder import ScoreFile
from lsr.train.pairs import TrainingCorpus
from lsr.train.teachers import load_teacher
from lsr.vocabulary import Vocabulary

CORPUS = TrainingCorpus(
    ["apple pie", "who sells cherries? " * 20, "中文"],
    ["Apple pie is a pie of apples.", "cherry", "long " * 90, "é"],
    np.array([0, 1, 3]),
)
QUERIES = np.array([0, 2, 1, 0])
CANDIDATES = np.array([[0, 1], [3, -1], [2, 1], [1, 0]])


def save(folder, kind="Bert", labels=1):
    import torch
    import transformers

    torch.manual_seed(3)
    vocabulary = Vocabulary.bert_uncased()
    sizes = {
        "Bert": {
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "initializer_range": 0.5,
        },
        "DistilBert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32,
                       "initializer_range": 0.5},
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=vocabulary.size, max_position_embeddings=64, num_labels=labels, **sizes[kind]
    )
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
    model.save_pretrained(folder)
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    pieces = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pieces
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module", params=["Bert", "DistilBert"])
def model(tmp_path_factory, request):
    return save(tmp_path_factory.mktemp("cross") / request.param, request.param)


def direct(folder, pairs, max_length=64):
    """Scores of pairs, one at a time, by transformers alone."""
    import torch
    import transformers

    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = []
    for query, document in pairs:
        inputs = tokenizer(
            query,
            document,
            truncation="longest_first",
            max_length=max_length,
            return_tensors="pt",
            return_token_type_ids=model.config.model_type == "bert",
        )
        with torch.inference_mode():
            scores.append(model(**inputs).logits[0, 0].item())
    return scores


def test_scores_are_those_of_transformers(model):
    pairs = [(query, document) for query in CORPUS.queries for document in CORPUS.documents]
    encoder = CrossEncoder.named(str(model), CrossEncoderConfig())
    expected = direct(model, pairs)
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(encoder.logits(pairs), expected, rtol=1e-4, atol=1e-5)
    short = CrossEncoder.named(str(model), CrossEncoderConfig(max_length=12))
    np.testing.assert_allclose(short.logits(pairs), direct(model, pairs, 12), rtol=1e-4, atol=1e-5)
    assert short.fingerprint != encoder.fingerprint
    assert encoder.logits([]).shape == (0,)


def test_the_teacher_scores_each_pair_once(tmp_path, model, monkeypatch):
    asked = []
    scores = CrossEncoder.logits

    def counted(self, pairs):
        asked.extend(pairs)
        return scores(self, pairs)

    monkeypatch.setattr(CrossEncoder, "logits", counted)
    name = f"cross-encoder:{model}"
    teacher = load_teacher(name, CORPUS, tmp_path)
    found = teacher.scores(QUERIES, CANDIDATES)
    wanted = {
        (CORPUS.queries[q], CORPUS.documents[d])
        for q, row in zip(QUERIES, CANDIDATES.tolist(), strict=True)
        for d in row
        if d >= 0
    }
    assert sorted(asked) == sorted(wanted)
    for line, query in enumerate(QUERIES):
        for column, document in enumerate(CANDIDATES[line]):
            if document < 0:
                assert found[line, column] == 0
            else:
                pair = CORPUS.queries[query], CORPUS.documents[document]
                assert found[line, column] == pytest.approx(direct(model, [pair])[0], rel=1e-4)
    asked.clear()
    again = load_teacher(name, CORPUS, tmp_path)
    np.testing.assert_array_equal(again.scores(QUERIES, CANDIDATES), found)
    np.testing.assert_array_equal(again.scores(QUERIES[::-1], CANDIDATES[::-1]), found[::-1])
    assert asked == []
    again.scores(np.array([1]), np.array([[2, 3]]))
    assert asked == [(CORPUS.queries[1], CORPUS.documents[3])]


def test_what_was_scored_before_a_kill_is_kept(tmp_path, model, monkeypatch):
    monkeypatch.setattr(cross_encoder, "PAIRS_AT_A_TIME", 2)
    states = []

    def killed(*state):
        states.append(state)
        if len(states) == 2:
            raise KeyboardInterrupt

    name = f"cross-encoder:{model}"
    queries, candidates = np.array([0]), np.array([[0, 1, 2, 3]])
    with pytest.raises(KeyboardInterrupt):
        load_teacher(name, CORPUS, tmp_path, killed).scores(queries, np.array([[0, 1, 2, 3]]))
    assert [state[1:] for state in states] == [(2, 4), (4, 4)]
    (path,) = tmp_path.iterdir()
    with path.open("r+b") as file:
        file.truncate(3 * 12 + 5)
    calls = []
    scores = CrossEncoder.logits
    monkeypatch.setattr(
        CrossEncoder, "logits", lambda self, pairs: (calls.extend(pairs), scores(self, pairs))[1]
    )
    found = load_teacher(name, CORPUS, tmp_path).scores(queries, candidates)
    assert calls == [(CORPUS.queries[0], CORPUS.documents[3])]
    assert path.stat().st_size == 4 * 12
    expected = direct(model, [(CORPUS.queries[0], document) for document in CORPUS.documents])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=50)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 2**62), st.floats(width=32, allow_nan=False,
                        allow_infinity=False), max_size=5), max_size=4),
    st.integers(0, 11),
)  # fmt: skip
def test_a_score_file_gives_back_what_was_appended(tmp_path_factory, parts, torn):
    path = tmp_path_factory.mktemp("scores") / "a.scores"
    expected = {}
    for part in parts:
        file = ScoreFile(path)
        assert file.scores == expected
        file.append(list(part), np.array(list(part.values()), np.float32))
        expected |= part
        assert file.scores == expected
        with path.open("ab") as stream:
            stream.write(b"x" * torn)
    assert ScoreFile(path).scores == expected


def test_models_that_are_no_cross_encoders(tmp_path, masked_lm, dense_model):
    pairs = [("a", "b")]
    one, two = save(tmp_path / "one"), save(tmp_path / "two", labels=3)
    with pytest.raises(InputError, match="has 3 outputs"):
        CrossEncoder.named(str(two), CrossEncoderConfig()).logits(pairs)
    for folder in (masked_lm, dense_model):
        with pytest.raises(InputError, match="lacks"):
            CrossEncoder.named(str(folder), CrossEncoderConfig()).logits(pairs)
    Vocabulary.bert_uncased().tokenizer.save(str(one / "tokenizer.json"))
    with pytest.raises(InputError, match="has a template for pairs"):
        CrossEncoder.named(str(one), CrossEncoderConfig()).logits(pairs)
    with pytest.raises(UsageError, match="max_length is 2"):
        load_teacher(f"cross-encoder:{two},max_length=2", CORPUS, tmp_path)
    with pytest.raises(UsageError, match="'depth' is not an option"):
        load_teacher(f"cross-encoder:{two},depth=2", CORPUS, tmp_path)


def test_a_model_without_its_pooler_is_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = save(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    kept = {name: array for name, array in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = CrossEncoder(Checkpoint.resolve(str(folder)), CrossEncoderConfig())
    with pytest.raises(InputError, match="pooler"):
        encoder.logits([("a", "b")])


def test_scores_that_are_not_finite_are_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = save(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = np.array([np.nan], np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="not finite"):
        load_teacher(f"cross-encoder:{folder}", CORPUS, tmp_path).scores(QUERIES, CANDIDATES)
