"""Weights and gradients of each component are those of a loop; what has no sense is refused."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.term_pooling import pool_terms
from lsr.errors import UsageError
from lsr.train.components import MODELS, MlpConfig
from lsr.train.config_file import parse_config
from lsr.train.micro_batches import MicroBatchEncoder, Weighing
from lsr.train.model_config import ModelConfig
from lsr.train.student import MaskedLanguageStudent
from lsr.train.term_weights import activated, pool_positions
from tests.lsr.train.finite_differences import central_differences
from tests.lsr.train.tiny_training import TERMS, tiny_checkpoint, tiny_corpus

LENGTH = 12
TEXTS = ["ba", "bo bo da [SEP] zz ba", *tiny_corpus(24).documents[:6], "ka ke ki ko ku " * 6]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


def dense(batch):
    return batch.to_scipy().toarray()


def student(base, kind):
    return MaskedLanguageStudent(Checkpoint.resolve(base), document=kind, query=kind)


def by_hand(student, kind, text, mlp=None, pool="max"):
    """float (V,) with a gradient: the formula of a component, for one text, in loops."""
    tokenizer = Tokenizer.from_str(student.vocabulary.tokenizer.to_str())
    own = set(tokenizer.encode(text, add_special_tokens=False).ids) - set(
        student.vocabulary.special
    )
    tokenizer.enable_truncation(LENGTH)
    ids = tokenizer.encode(text).ids
    inputs = torch.tensor([ids])
    mask = torch.ones_like(inputs)
    row = [torch.zeros(()) for _ in range(TERMS)]
    if kind == "mlp":
        hidden = student.model.bert(input_ids=inputs, attention_mask=mask).last_hidden_state[0]
        for position, term in enumerate(ids):
            if term in student.vocabulary.special:
                continue
            number = hidden[position] @ student.head.weight[0] + student.head.bias[0]
            weight = number.relu()
            if mlp.activation == "softplus":
                weight = (1 + number.exp()).log()
            if mlp.logs:
                weight = (1 + weight).log()
            if pool == "sum":
                row[term] = row[term] + weight
            elif pool == "max":
                row[term] = torch.maximum(row[term], weight)
            elif not any(term == before for before in ids[:position]):
                row[term] = weight
        return torch.stack(row)
    if kind == "embeddings":
        states = student.model.bert(input_ids=inputs, attention_mask=mask).last_hidden_state[0]
        weight, bias = student.model.bert.embeddings.word_embeddings.weight, torch.zeros(TERMS)
    else:
        states = student.model(input_ids=inputs, attention_mask=mask).logits[0]
        weight, bias = student.projection()
    positions = range(1) if kind == "cls-mlm" else range(len(ids))
    for term in range(TERMS):
        if kind == "own-terms" and term not in own:
            continue
        logits = [states[position] @ weight[term] + bias[term] for position in positions]
        row[term] = (1 + torch.stack(logits).max(dim=0).values.relu()).log()
    return torch.stack(row)


CASES = [(kind, None, "max") for kind in MODELS if kind != "mlp"]
CASES += [("mlp", MlpConfig(), pool) for pool in ("max", "sum", "first")]
CASES += [("mlp", MlpConfig("softplus", 1), "sum")]


@pytest.mark.parametrize(("kind", "mlp", "pool"), CASES)
@pytest.mark.parametrize("cached", [False, True])
def test_weights_and_gradients_are_those_of_a_loop(base, kind, mlp, pool, cached):
    texts = TEXTS
    factors = torch.randn(len(texts), TERMS, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(5)
    looped = student(base, kind)
    wanted = torch.stack([by_hand(looped, kind, text, mlp, pool) for text in texts])
    (wanted.square() * factors).sum().backward()
    torch.manual_seed(5)
    trained = student(base, kind)
    weighing = Weighing(
        max_length=LENGTH, own_terms=kind == "own-terms", mlp=mlp, pool=pool,
        drop_special=kind == "mlp",
    )  # fmt: skip
    encoder = MicroBatchEncoder(trained.tower("document"), weighing, 40, cached)
    encoded = encoder(texts)
    torch.testing.assert_close(encoded.weights.detach(), wanted.detach(), rtol=1e-5, atol=1e-5)
    (encoded.weights.square() * factors).sum().backward()
    encoded.backward()
    for name, parameter in looped.parameters().items():
        own = trained.parameters()[name].grad
        gradient = parameter.grad
        if gradient is None:
            assert own is None or not own.any()
            continue
        scale = max(1.0, float(gradient.abs().max()))
        own = torch.zeros_like(gradient) if own is None else own
        torch.testing.assert_close(own, gradient, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("pool", ["max", "sum", "first"])
@pytest.mark.parametrize("mlp", [MlpConfig(), MlpConfig("softplus"), MlpConfig("softplus", 1)])
def test_pooled_positions_are_those_of_inference_and_their_gradient_is_right(pool, mlp):
    generator = np.random.default_rng(3)
    rows, terms = np.sort(generator.integers(0, 3, 30)), generator.integers(0, 7, 30)
    numbers = torch.from_numpy(generator.normal(0.3, 1, 30))
    factors = torch.from_numpy(generator.normal(0, 1, (3, 7)))
    weights = activated(numbers, mlp)
    pooled = pool_positions(weights, rows, terms, (3, 7), pool)
    expected = pool_terms(rows, terms, weights.numpy().astype(np.float32), (3, 7), pool)
    np.testing.assert_allclose(pooled, dense(expected), rtol=1e-6)

    def value(values):
        made = pool_positions(activated(values, mlp), rows, terms, (3, 7), pool)
        return (made.square() * factors).sum()

    numbers.requires_grad_()
    (gradient,) = torch.autograd.grad(value(numbers), numbers)
    numeric = central_differences(value, numbers.detach())
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=1e-6)


def test_no_position_is_no_weight():
    none = np.zeros(0, dtype=np.int64)
    for pool in ("max", "sum", "first"):
        assert not pool_positions(torch.zeros(0), none, none, (2, 3), pool).any()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"documents": "binary", "queries": "binary"}, "no model to train"),
        ({"documents": "learned", "queries": "learned"}, "no model to train"),
        ({"documents": "idf", "queries": "model"}, "name theirs"),
        ({"documents": "mlp", "queries": "idf", "logs": 2}, "logs is 2"),
        ({"documents": "mlm", "queries": "mlp", "query_logs": 2}, "query_logs is 2"),
        ({"documents": "mlp", "queries": "idf", "literal": 1.0}, "literal terms stand beside"),
        ({"queries": "own-terms", "literal": 1.0}, "literal terms need queries without"),
        ({"queries": "idf", "towers": "separate"}, "have one model"),
        ({"documents": "binary", "queries": "mlm", "towers": "separate"}, "have one model"),
        ({"queries": "model", "mlp": {"pool": "sum"}}, r"\[model.mlp\] is for an mlp"),
        ({"documents": "mlp", "mlp": {"logs": 2}}, "allowed are 0 and 1"),
        ({"documents": "tfidf"}, "tfidf"),
        ({"queries": "tfidf"}, "tfidf"),
        ({"towers": "three"}, "towers"),
        ({"queries": "model", "documents": "mlp", "lora": {}}, "a decoder is one tower"),
        ({"queries": "model", "towers": "separate", "lora": {}}, "a decoder is one tower"),
    ],
    ids=str,
)
def test_combinations_without_sense_are_refused(model, message):
    with pytest.raises(UsageError, match=message):
        parse_config({"base": "b"} | model, ModelConfig)
