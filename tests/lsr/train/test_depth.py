"""Further layers of a student change next to nothing before training; fewer are the first."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

from lsr.errors import InputError
from lsr.train.depth import with_layers

SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}


def model(layers=2):
    torch.manual_seed(3)
    made = BertForMaskedLM(BertConfig(num_hidden_layers=layers, **SIZES)).eval()
    # As trained ones are: scale and shift of each normalisation near those of the others.
    for name, parameter in made.named_parameters():
        if "LayerNorm.weight" in name:
            parameter.data.normal_(0.8, 0.02)
        elif "LayerNorm.bias" in name:
            parameter.data.normal_(0, 0.02)
    return made


def states(made):
    ids = torch.arange(30).reshape(3, 10)
    with torch.no_grad():
        return made(input_ids=ids).logits


def test_further_layers_begin_as_nearly_the_identity():
    made = model()
    before = states(made)
    with_layers(made, 5)
    assert made.config.num_hidden_layers == len(made.bert.encoder.layer) == 5
    after = states(made)
    assert torch.nn.functional.cosine_similarity(before, after, dim=-1).min() > 0.99


def test_further_layers_are_trained():
    made = model()
    with_layers(made, 3)
    made(input_ids=torch.arange(10)[None]).logits.square().sum().backward()
    further = made.bert.encoder.layer[2]
    for name in ("attention.output.dense.weight", "output.dense.weight"):
        assert further.get_parameter(name).grad.abs().max() > 0


def test_fewer_layers_are_the_first_ones():
    made, wanted = model(4), model(4)
    del wanted.bert.encoder.layer[2:]
    with_layers(made, 2)
    torch.testing.assert_close(states(made), states(wanted))


def test_a_model_of_another_build_is_refused():
    sizes = {"dim": 16, "n_heads": 2, "hidden_dim": 32, "vocab_size": 50, "n_layers": 1}
    with pytest.raises(InputError, match="layers can't be counted; leave out layers"):
        with_layers(DistilBertForMaskedLM(DistilBertConfig(**sizes)), 2)
