"""A name gives its regularizer, with what that needs and nothing else."""

import pytest
import torch

from lsr.errors import UsageError
from lsr.train.regularizer_registry import REGULARIZERS, RegularizerOptions, regularizer
from lsr.train.regularizers import DfFlops, DocumentFrequencies, flops, idf_flops, l0_flops, l1


def test_a_name_gives_its_regularizer():
    weights = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]], dtype=torch.float64)
    idf = torch.tensor([1.0, 2.0, 3.0])
    expected = {
        "flops": (RegularizerOptions(), flops(weights)),
        "l1": (RegularizerOptions(), l1(weights)),
        "l0-flops": (RegularizerOptions(threshold=1), l0_flops(weights, 1)),
        "idf-flops": (RegularizerOptions(idf=idf), idf_flops(weights, idf.double())),
        "df-flops": (
            RegularizerOptions(frequencies=DocumentFrequencies(3)),
            DfFlops(DocumentFrequencies(3))(weights),
        ),
    }
    assert expected.keys() == REGULARIZERS.keys()
    for name, (options, value) in expected.items():
        assert torch.equal(regularizer(name, options)(weights), value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("l2", RegularizerOptions(), "allowed is flops, l1, l0-flops, idf-flops, df-flops"),
        ("l0-flops", RegularizerOptions(), "threshold of l0-flops is None"),
        ("l0-flops", RegularizerOptions(threshold=-1), "threshold of l0-flops is -1"),
        ("flops", RegularizerOptions(threshold=5), "flops has no threshold"),
        ("idf-flops", RegularizerOptions(), "needs the IDF"),
        ("df-flops", RegularizerOptions(), "needs document frequencies"),
        ("flops", RegularizerOptions(idf=torch.ones(2)), "flops has no idf"),
    ],
)
def test_a_name_without_what_it_needs_is_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        regularizer(name, options)


def test_autograd_of_every_regularizer_passes_torchs_own_check():
    generator = torch.Generator().manual_seed(4)
    weights = torch.rand(6, 5, generator=generator, dtype=torch.float64) + 0.1
    weights.requires_grad_()
    frequencies = DocumentFrequencies(5, every=1_000_000)
    options = {
        "l0-flops": RegularizerOptions(threshold=2),
        "idf-flops": RegularizerOptions(idf=torch.arange(5.0).double()),
        "df-flops": RegularizerOptions(frequencies=frequencies),
    }
    for name in REGULARIZERS:
        penalty = regularizer(name, options.get(name, RegularizerOptions()))
        assert torch.autograd.gradcheck(penalty, (weights,)), name
