"""Architectures in which padding or neighbours change a text's states, and heads of other kinds."""

import numpy as np
import pytest
import torch
import transformers

from lsr.backbones.batching_rule import find_batching, run_batch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.projection import WholeLogits
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import InputError
from lsr.vocabulary import Vocabulary

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "hunts", "at", "night", "the", "dog"]
TEXTS = ["cat", "the dog hunts at night and the cat hunts the dog", "cat at night", "dog at night"]
SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64,
    "num_attention_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip
KINDS = {
    "BertConfig": {},
    "ConvBertConfig": {"embedding_size": 32},
    "FNetConfig": {},
    "NystromformerConfig": {"segment_means_seq_len": 64, "num_landmarks": 64},
    "MobileBertConfig": {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "EsmConfig": {"pad_token_id": 0, "mask_token_id": 4, "position_embedding_type": "absolute"},
}
UNPADDED = {"ConvBertConfig", "FNetConfig", "NystromformerConfig"}
WHOLE = {"MobileBertConfig", "EsmConfig"}
REFORMER = {
    "is_decoder": False, "axial_pos_shape": (8, 8), "axial_pos_embds_dim": (16, 16),
    "attn_layers": ["local", "lsh"], "local_attn_chunk_length": 8, "lsh_attn_chunk_length": 8,
    "attention_head_size": 16, "feed_forward_size": 64, "vocab_size": len(WORDS),
    "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip


def save(folder, kind, sizes):
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    vocabulary = Vocabulary.from_vocabulary_file(folder / "vocab.txt")
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = getattr(transformers, kind)(**sizes)
    model = transformers.AutoModelForMaskedLM.from_config(config).eval()
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    return model, vocabulary


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", ["max", "sum"])
def test_each_text_has_the_vector_that_it_has_alone(tmp_path, kind, pool):
    model, vocabulary = save(tmp_path / "model", kind, SIZES | KINDS[kind])
    encoder = load_encoder(f"{tmp_path / 'model'},pool={pool}")
    found = encoder.encode_documents(TEXTS).to_scipy().toarray()
    for row, text in zip(found, TEXTS, strict=True):
        ids = torch.tensor([vocabulary.tokenizer.encode(text).ids])
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        pooled = logits.relu().log1p().sum(dim=0)
        if pool == "max":
            pooled = logits.amax(dim=0).relu().log1p()
        np.testing.assert_allclose(row, pooled[: len(WORDS)].numpy(), atol=1e-4)
    backbone = encoder.document._model.value
    assert isinstance(backbone.projection, WholeLogits) == (kind in WHOLE)
    assert getattr(backbone, "_batching", "padded") == ("equal" if kind in UNPADDED else "padded")


@pytest.mark.parametrize("kind", ["ConvBertConfig", "FNetConfig"])
def test_a_dense_vector_is_that_of_the_text_alone(tmp_path, kind):
    save(tmp_path / "model", kind, SIZES | KINDS[kind])
    encoder = DenseEncoder.load(str(tmp_path / "model"))
    alone = np.vstack([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), alone, atol=1e-5)


def test_a_model_with_chance_in_it_is_refused(tmp_path):
    save(tmp_path / "model", "ReformerConfig", REFORMER)
    with pytest.raises(InputError, match="makes other states of a text each time"):
        load_encoder(str(tmp_path / "model")).encode_documents(TEXTS)


def fail(ids, mask):
    raise ValueError("give pixels\nand more")


def test_what_cannot_read_text_is_refused_in_a_sentence(tmp_path):
    save(tmp_path / "model", "BertConfig", SIZES)
    checkpoint = Checkpoint.resolve(str(tmp_path / "model"))
    for run, complaint in (
        (fail, r"text alone \(give pixels\)"),
        (lambda ids, mask: ids.float(), "can't be run on text alone"),
        (lambda ids, mask: ids.float()[:, :2, None], "can't be run on text alone"),
    ):
        with pytest.raises(InputError, match=complaint):
            find_batching(run, checkpoint, torch.device("cpu"))


def test_texts_of_one_batch_that_change_each_other_go_one_at_a_time(tmp_path):
    save(tmp_path / "model", "BertConfig", SIZES)

    def run(ids, mask):
        states = torch.stack([ids.float(), ids.float() ** 2], dim=-1)
        return states + states.sum(dim=0) * (len(ids) > 1)

    checkpoint = Checkpoint.resolve(str(tmp_path / "model"))
    rule = find_batching(run, checkpoint, torch.device("cpu"))
    assert rule == "single"
    ids = torch.tensor([[5, 6, 7], [8, 9, 0], [5, 6, 0]])
    mask = (ids > 0).long()
    made = run_batch(run, ids, mask, rule)
    for row in range(3):
        length = int(mask[row].sum())
        assert torch.equal(made[row, :length], run(ids[row : row + 1, :length], mask[:1])[0])
        assert not made[row, length:].any()
