"""The student is its checkpoint, cut before the projection."""

import itertools

import numpy as np
import pytest
import torch
import transformers

from lsr.backbones.batching import Batcher
from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import InputError, UsageError
from lsr.train.config import (
    LossConfig,
    MemoryConfig,
    OptimizerConfig,
    SourceConfig,
    TrainingConfig,
)
from lsr.train.decoder_student import LoraConfig
from lsr.train.export import Exported
from lsr.train.model_config import ModelConfig
from lsr.train.student import MaskedLanguageStudent, load_student
from tests.lsr.train.tiny_training import TERMS, tiny_checkpoint

TEXTS = ["ba be bi", "do", "ka ke ki ko ku"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def test_states_and_projection_give_the_logits_of_transformers(folder):
    student = MaskedLanguageStudent(Checkpoint.resolve(str(folder)))
    plain = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    (batch,) = Batcher(student.vocabulary, 40, 1000)(TEXTS)
    states, offsets = student.states(batch)
    assert offsets.tolist() == [0, 7, 12, 15]
    weight, bias = student.projection()
    assert weight.shape == (TERMS, 16)
    for row, (first, last) in enumerate(itertools.pairwise(offsets)):
        ids = torch.from_numpy(batch.ids[row : row + 1, : last - first])
        with torch.inference_mode():
            logits = plain(input_ids=ids).logits[0]
        torch.testing.assert_close(
            states[first:last] @ weight.T + bias, logits, rtol=1e-4, atol=1e-5
        )


def test_all_parameters_are_trained_and_tied_ones_once(folder):
    student = MaskedLanguageStudent(Checkpoint.resolve(str(folder)))
    parameters = student.parameters()
    assert all(parameter.requires_grad for parameter in parameters.values())
    assert len({id(parameter) for parameter in parameters.values()}) == len(parameters)
    assert any(p is student.projection()[0] for p in parameters.values())
    plain = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    assert sum(p.numel() for p in parameters.values()) == plain.num_parameters()


def test_dropout_is_the_one_that_is_asked_for(folder):
    checkpoint = Checkpoint.resolve(str(folder))
    for probability in (0.0, 0.25):
        student = MaskedLanguageStudent(checkpoint, probability)
        layers = [m for m in student.model.modules() if isinstance(m, torch.nn.Dropout)]
        assert layers
        assert {layer.p for layer in layers} == {probability}
        assert student.random == student.model.training == (probability > 0)


def test_length_is_bounded_by_positions(folder):
    student = MaskedLanguageStudent(Checkpoint.resolve(str(folder)))
    for wanted, length in ((3, 3), (40, 40), (512, 40)):
        (batch,) = student.batcher("document", wanted, 10_000)(["ba " * 600])
        assert batch.ids.shape == (1, length)


def test_a_projection_over_fewer_terms_is_refused(tmp_path):
    folder = tiny_checkpoint(tmp_path / "few", vocab_size=TERMS - 1)
    with pytest.raises(InputError, match="no vocabulary projection over its"):
        MaskedLanguageStudent(Checkpoint.resolve(str(folder)))


def test_a_model_without_projection_is_refused(tmp_path, dense_model):
    with pytest.raises(InputError):
        MaskedLanguageStudent(Checkpoint.resolve(str(dense_model)))


def test_training_it_moves_the_weights_that_are_exported(folder, tmp_path):
    from lsr.train.export import Exported

    student = MaskedLanguageStudent(Checkpoint.resolve(str(folder)))
    with torch.no_grad():
        for parameter in student.parameters().values():
            parameter.add_(0.01)
    student.export(tmp_path / "out", Exported(), None)
    before = transformers.AutoModelForMaskedLM.from_pretrained(folder).state_dict()
    after = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out").state_dict()
    for name, tensor in before.items():
        if tensor.is_floating_point():
            np.testing.assert_array_equal((tensor + 0.01).numpy(), after[name].numpy(), name)


def test_exported_weights_are_averaged_with_the_bases(folder, tmp_path):
    student = MaskedLanguageStudent(Checkpoint.resolve(str(folder)), base_share=0.25)
    base = {name: p.detach().clone() for name, p in student.parameters().items()}
    with torch.no_grad():
        for parameter in student.parameters().values():
            parameter.add_(1.0)
    student.export(tmp_path / "out", Exported(), None)
    plain = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(weight.detach(), base[name] + 0.75, rtol=1e-6, atol=1e-6)
        assert torch.equal(student.parameters()[name].detach(), base[name] + 1.0)


@pytest.mark.parametrize("tied", [True, False])
def test_a_new_head_has_learned_nothing_and_the_body_is_the_bases(tmp_path, tied):
    folder = tiny_checkpoint(tmp_path / "base", tie_word_embeddings=tied)
    base = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    checkpoint = Checkpoint.resolve(str(folder))

    def begun(seed):
        torch.manual_seed(seed)
        return MaskedLanguageStudent(checkpoint, new_head=True)

    student, same, other = begun(1), begun(1), begun(2)
    found, again = student.parameters(), same.parameters()
    for name, weight in base.bert.named_parameters():
        assert torch.equal(found[f"bert.{name}"], weight), name
    head = {name for name in found if not name.startswith("bert.")}
    assert len(head) == (5 if tied else 7)
    embeddings = found["bert.embeddings.word_embeddings.weight"]
    before = dict(base.named_parameters())
    dense = "cls.predictions.transform.dense.weight"
    for name in head:
        assert torch.equal(found[name], again[name])
        if name == "cls.predictions.decoder.weight":
            assert torch.equal(found[name], embeddings)
        elif name == dense:
            assert not torch.equal(found[name], other.parameters()[name])
            assert not torch.equal(found[name], before[name])
            assert found[name].std().item() == pytest.approx(0.3, rel=0.2)
        else:
            value = 0.0 if name.endswith("bias") else 1.0
            assert torch.equal(found[name], torch.full_like(found[name], value))
    assert (student.projection()[0] is embeddings) == tied
    student.export(tmp_path / "out", Exported(), None)
    written = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    for name, weight in written.named_parameters():
        assert torch.equal(weight, found[name]), name


def test_a_new_head_is_not_averaged_with_a_base_that_has_none():
    with pytest.raises(UsageError, match="base_share and new_head"):
        ModelConfig("base", base_share=0.5, new_head=True)
    with pytest.raises(UsageError, match="leave out new_head"):
        ModelConfig("base", queries="model", lora=LoraConfig(), new_head=True)


def test_a_body_without_a_head_begins_with_a_new_one(folder, tmp_path):
    whole = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    whole.bert.save_pretrained(tmp_path / "body")
    (tmp_path / "body" / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    checkpoint = Checkpoint.resolve(str(tmp_path / "body"))
    with pytest.raises(InputError, match="lacks"):
        MaskedLanguageStudent(checkpoint)
    found = MaskedLanguageStudent(checkpoint, new_head=True).parameters()
    for name, weight in whole.bert.named_parameters():
        assert torch.equal(found[f"bert.{name}"], weight), name


def test_short_texts_in_half_precision_are_attended_plainly_and_alike(folder, tmp_path):
    texts = ["ba be bi", "bo " * 9, ""]
    states, written = {}, {}
    for precision, length in (("float32", 64), ("bfloat16", 64), ("bfloat16", 300)):
        student = load_student(
            TrainingConfig(
                ModelConfig(str(folder), max_length=length),
                OptimizerConfig(1),
                (SourceConfig("pairs.jsonl"),),
                (LossConfig("info-nce"),),
                memory=MemoryConfig(precision=precision),
            )
        )
        plain = precision == "bfloat16" and length == 64
        attention = student.model.config._attn_implementation
        assert attention == ("eager" if plain and student.device.type == "cpu" else "sdpa")
        batches = student.batcher("document", length, 10_000)(texts)
        states[plain] = np.concatenate([student.states(one)[0].detach() for one in batches])
        student.export(tmp_path / f"{precision}-{length}", Exported(max_length=length), None)
        written[plain] = (tmp_path / f"{precision}-{length}" / "config.json").read_bytes()
    np.testing.assert_allclose(states[True], states[False], atol=1e-5)
    assert written[True] == written[False]
