"""LoRA adapters against weights that are added up by hand."""

import json
import shutil
import sys

import huggingface_hub
import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lsr.backbones.lora import Adapter
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.decoder import DecoderConfig, DecoderEncoder
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError
from tests.lsr.encoders.decoders import TEXTS, Plain, byte_level, save

ATTENTION = ["q_proj", "v_proj"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save(tmp_path_factory.mktemp("lora") / "base", "Llama", byte_level())


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return trained(base, tmp_path_factory.mktemp("lora") / "adapter", r=2, target_modules=ATTENTION)


def trained(base, folder, **settings):
    """An adapter whose two matrices are random, saved by peft."""
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(init_lora_weights=False, lora_alpha=8, **settings)
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(folder)
    return folder


def added(base, adapter, scale):
    """transformers' model with W + scale B A in place of W."""
    plain = Plain(base)
    weights = load_file(adapter / "adapter_model.safetensors")
    with torch.no_grad():
        for name, parameter in plain.model.named_parameters():
            key = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{key}.lora_A.weight" in weights:
                first, second = (weights[f"{key}.lora_{part}.weight"] for part in "AB")
                parameter += scale * second @ first
    return plain


def encoder(name, **options):
    return DecoderEncoder.load(str(name), DecoderConfig(**options))


def weights_of(name, **options):
    return encoder(name, **options).encode_documents(TEXTS).to_scipy().toarray()


def test_an_adapter_is_added_to_its_model(base, adapter):
    found = weights_of(base, lora=str(adapter))
    np.testing.assert_allclose(found, added(base, adapter, 8 / 2)(TEXTS, bos=0), atol=1e-4)
    assert np.abs(found - weights_of(base)).max() > 0.1


def test_scale_follows_the_settings(base, tmp_path):
    settings = {"r": 4, "target_modules": "all-linear", "use_rslora": True}
    adapter = trained(base, tmp_path / "adapter", **settings)
    expected = added(base, adapter, 8 / 4**0.5)(TEXTS, bos=0, echo=True, max_length=32)
    found = weights_of(base, lora=str(adapter), echo="yes")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_of_the_head_leaves_tied_embeddings_as_they_are(tmp_path):
    base = save(tmp_path / "base", "Llama", byte_level(), tie_word_embeddings=True)
    adapter = trained(base, tmp_path / "adapter", r=2, target_modules=["lm_head"])
    plain, weights = Plain(base), load_file(adapter / "adapter_model.safetensors")
    update = 4 * weights["base_model.model.lm_head.lora_B.weight"]
    update = update @ weights["base_model.model.lm_head.lora_A.weight"]
    tied = plain.model.lm_head.weight.detach()
    plain.model.lm_head.weight = torch.nn.Parameter(tied + update)
    found = weights_of(base, lora=str(adapter))
    np.testing.assert_allclose(found, plain(TEXTS, bos=0), rtol=1e-4, atol=1e-4)


def test_an_adapter_names_its_model(base, adapter):
    found = load_encoder(f"decoder:{adapter},bos=no")
    assert found.name == f"decoder:{base},bos=no,lora={adapter}"
    assert found.fingerprint == encoder(base, lora=str(adapter), bos="no").fingerprint
    again = load_encoder(found.name)
    assert (again.name, again.fingerprint) == (found.name, found.fingerprint)


def test_the_fingerprint_follows_the_adapter_and_not_its_place(base, adapter, tmp_path):
    before = encoder(base, lora=str(adapter)).fingerprint
    moved = shutil.copytree(adapter, tmp_path / "moved")
    settings = json.loads((moved / "adapter_config.json").read_text())
    settings |= {"base_model_name_or_path": "elsewhere", "target_modules": ATTENTION[::-1]}
    (moved / "adapter_config.json").write_text(json.dumps(settings))
    assert encoder(base, lora=str(moved)).fingerprint == before
    (moved / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 9}))
    scaled = encoder(base, lora=str(moved)).fingerprint
    weights = load_file(moved / "adapter_model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, moved / "adapter_model.safetensors")
    changed = encoder(base, lora=str(moved)).fingerprint
    assert len({before, scaled, changed, encoder(base).fingerprint}) == 4


def test_hub_ids_name_a_repository_or_a_folder_in_it(base, adapter, tmp_path, monkeypatch):
    commit = "0" * 40
    repository = tmp_path / "models--somebody--adapters"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    shutil.copytree(adapter, repository / f"snapshots/{commit}/lora")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    found = Adapter.resolve("somebody/adapters/lora")
    assert (found.name, found.base) == ("somebody/adapters/lora", str(base))
    assert found.digest == Adapter.resolve(str(adapter)).digest
    with pytest.raises(NotFoundError, match=r"'somebody/adapters' holds no adapter_config\.json"):
        Adapter.resolve("somebody/adapters")
    for name in ("somebody/adapters/../lora", "somebody/other", "somebody/adapters/lora/"):
        with pytest.raises(NotFoundError):
            Adapter.resolve(name)


def test_without_peft_the_install_line_is_named(base, adapter, monkeypatch):
    found = encoder(base, lora=str(adapter))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[lora\]'"):
        found.encode_documents(["a wing"])


def test_pickled_adapters_are_refused(base, adapter, tmp_path):
    pickled = shutil.copytree(adapter, tmp_path / "pickled")
    torch.save(load_file(pickled / "adapter_model.safetensors"), pickled / "adapter_model.bin")
    (pickled / "adapter_model.safetensors").unlink()
    for load in (lambda: encoder(base, lora=str(pickled)), lambda: encoder(pickled)):
        with pytest.raises(NotFoundError, match="pickled weights are not loaded"):
            load()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"peft_type": "IA3"}, "of the kind 'IA3'; allowed is LORA"),
        ({"peft_type": None}, "of the kind None"),
        ({"base_model_name_or_path": None}, r"names no base model; write decoder:MODEL,lora="),
        ({"base_model_name_or_path": "./gone"}, r"'\./gone' does not exist"),
    ],
)
def test_adapters_that_do_not_say_enough_are_refused(adapter, tmp_path, change, complaint):
    changed = shutil.copytree(adapter, tmp_path / "changed")
    settings = json.loads((changed / "adapter_config.json").read_text()) | change
    (changed / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises((InputError, NotFoundError), match=complaint):
        encoder(changed)


def test_two_adapters_are_refused(adapter):
    with pytest.raises(UsageError, match="are both adapters"):
        encoder(adapter, lora=str(adapter))


def test_an_adapter_of_another_model_is_refused(base, adapter, tmp_path):
    wider = save(tmp_path / "wider", "Llama", byte_level(), hidden_size=32)
    deeper = save(tmp_path / "deeper", "Llama", byte_level(), num_hidden_layers=3)
    shallow = save(tmp_path / "shallow", "Llama", byte_level(), num_hidden_layers=1)
    for other in (wider, deeper, shallow):
        with pytest.raises(InputError, match="does not fit the model"):
            encoder(other, lora=str(adapter)).encode_documents(["a wing"])
    broken = shutil.copytree(adapter, tmp_path / "broken")
    (broken / "adapter_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="does not fit the model"):
        encoder(base, lora=str(broken)).encode_documents(["a wing"])
