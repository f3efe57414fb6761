"""Texts weigh as the plain formula says, whatever the micro-batches, and so do gradients."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from lsr.backbones.checkpoint import Checkpoint
from lsr.train.micro_batches import MicroBatchEncoder, Weighing
from lsr.train.student import MaskedLanguageStudent
from tests.lsr.train.tiny_training import TERMS, tiny_checkpoint, tiny_pairs

TEXTS = ["ba", "", *(document for _, document in tiny_pairs(9, length=30)), " \n", "bo bo [SEP] zz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def student(folder, dropout=0.0):
    return MaskedLanguageStudent(Checkpoint.resolve(str(folder)), dropout)


def by_hand(model, texts, weighing, length):
    """(texts, V), one text at a time through all of the logits."""
    tokenizer = Tokenizer.from_str(model.vocabulary.tokenizer.to_str())
    tokenizer.enable_truncation(length)
    weight, bias = model.projection()
    rows = []
    for text in texts:
        if not text.strip():
            rows.append(torch.zeros(TERMS))
            continue
        ids = torch.tensor([tokenizer.encode(text).ids])
        states = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        row = (states @ weight.T + bias).max(dim=0).values.relu()
        for _ in range(weighing.logs):
            row = row.log1p()
        if weighing.drop_special:
            special = torch.zeros(TERMS, dtype=torch.bool)
            special[list(model.vocabulary.special)] = True
            row = torch.where(special, 0, row)
        if weighing.top_k:
            row = torch.where(row >= row.topk(weighing.top_k).values[-1], row, 0)
        rows.append(row)
    return torch.stack(rows)


def loss_of(weights):
    """Not symmetric in texts or terms."""
    factors = torch.randn(weights.shape, generator=torch.Generator().manual_seed(4))
    return (weights.square() * factors).sum() + (weights @ weights.T).sum() / 50


def trained(model, weighing, tokens, cached, times=1):
    """Weights, and the gradient of each parameter, after one backward pass or several."""
    encoder = MicroBatchEncoder(model, weighing, tokens, cached)
    for _ in range(times):
        encoded = encoder(TEXTS)
        loss_of(encoded.weights).backward()
        encoded.backward()
    gradients = {name: parameter.grad for name, parameter in model.parameters().items()}
    return encoded.weights.detach(), gradients


def assert_close(found, wanted):
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-5, atol=1e-5)
    for name, gradient in wanted[1].items():
        own = found[1][name]
        own = torch.zeros_like(gradient) if own is None else own
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(own, gradient, rtol=1e-4, atol=1e-5 * scale, msg=name)


@pytest.mark.parametrize(
    "weighing",
    [
        Weighing(max_length=40),
        Weighing(logs=2, max_length=12),
        Weighing(max_length=20, top_k=7),
        Weighing(max_length=500, top_k=20, drop_special=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("cached", [False, True])
def test_micro_batches_change_nothing(folder, weighing, cached, threads):
    reference = student(folder)
    weights = by_hand(reference, TEXTS, weighing, min(weighing.max_length, 40))
    loss_of(weights).backward()
    wanted = (
        weights.detach(),
        {
            name: torch.zeros_like(p) if p.grad is None else p.grad
            for name, p in reference.parameters().items()
        },
    )
    for tokens in (0, 1, 60, 10_000):
        found = trained(student(folder), weighing, tokens, cached)
        assert_close(found, wanted)
        assert not found[0][1].any()  # blank


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("tokens", [0, 60])
def test_the_cache_changes_no_bit(folder, dropout, tokens, threads):
    results = []
    for cached in (False, True):
        torch.manual_seed(7)
        model = student(folder, dropout)
        results.append(trained(model, Weighing(max_length=40), tokens, cached, times=2))
        results[-1][1]["random"] = torch.get_rng_state()
    kept, repeated = results
    assert torch.equal(kept[0], repeated[0])
    for name, gradient in kept[1].items():
        assert torch.equal(gradient, repeated[1][name]), name


def test_dropout_is_at_work(folder):
    """Its means are those of the plain formula, where each text draws on its own."""
    weighing, runs = Weighing(max_length=40), 25
    torch.manual_seed(3)

    def by_formula(model):
        model.model.zero_grad()
        weights = by_hand(model, TEXTS, weighing, 40)
        loss_of(weights).backward()
        return weights.detach(), {name: p.grad for name, p in model.parameters().items()}

    def by_micro_batches(model):
        model.model.zero_grad()
        return trained(model, weighing, 60, False)

    sampled = []
    for draw in (by_formula, by_micro_batches):
        model = student(folder, 0.3)
        drawn = [draw(model) for _ in range(runs)]
        columns = [torch.stack([weights.flatten() for weights, _ in drawn])]
        columns += [
            torch.stack([gradients[name].flatten().clone() for _, gradients in drawn])
            for name in drawn[0][1]
            if drawn[0][1][name] is not None
        ]
        sampled.append(torch.cat(columns, dim=1))
    wanted, found = sampled
    assert found.shape == wanted.shape
    error = ((found.var(dim=0) + wanted.var(dim=0)) / runs).sqrt()
    off = (found.mean(dim=0) - wanted.mean(dim=0)).abs()
    assert (found.var(dim=0) > 0).float().mean() > 0.9
    # Nearly all of some ten thousand differences are within four standard errors.
    assert (off > 4 * error + 1e-6).float().mean() < 1e-3
    np.testing.assert_allclose(found.std(dim=0).sum(), wanted.std(dim=0).sum(), rtol=0.05)


def test_gradients_add_up_over_calls(folder):
    once = trained(student(folder), Weighing(max_length=40), 60, False)[1]
    twice = trained(student(folder), Weighing(max_length=40), 60, True, times=2)[1]
    for name, gradient in once.items():
        if gradient is not None:
            torch.testing.assert_close(twice[name], 2 * gradient, rtol=1e-5, atol=1e-5)


def test_nnz_and_blank_texts(folder):
    encoder = MicroBatchEncoder(student(folder), Weighing(max_length=40, top_k=5))
    encoded = encoder(TEXTS)
    expected = [0 if not text.strip() else 5 for text in TEXTS]
    assert encoded.nnz.tolist() == (encoded.weights > 0).sum(dim=1).tolist() == expected
    for texts in ([], ["", "  "]):
        nothing = encoder(texts)
        assert nothing.weights.shape == (len(texts), TERMS)
        nothing.weights.sum().backward()
        nothing.backward()
    assert all(parameter.grad is None for parameter in encoder.student.parameters().values())


def test_what_has_no_gradient_carries_none_back(folder):
    model = student(folder)
    MicroBatchEncoder(model, Weighing(max_length=40))(TEXTS).backward()
    assert all(parameter.grad is None for parameter in model.parameters().values())


def test_frozen_parameters_stay_out(folder):
    model = student(folder)
    frozen = model.model.bert.embeddings.word_embeddings.weight
    frozen.requires_grad_(False)
    gradients = trained(model, Weighing(max_length=40), 60, True)[1]
    assert frozen.grad is None
    assert sum(gradient is not None for gradient in gradients.values()) > 10


def test_no_order_of_texts_matters(folder):
    encoder = MicroBatchEncoder(student(folder), Weighing(max_length=40), 60)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    torch.testing.assert_close(
        encoder([TEXTS[place] for place in order]).weights,
        encoder(TEXTS).weights[torch.from_numpy(order)],
        rtol=1e-5,
        atol=1e-5,
    )
