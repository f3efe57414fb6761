"""A body of many languages: a random XLM-R is trained, exported, indexed and searched."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from eval.training import train
from index.indexing import index_documents
from index.opening import open_or_create
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.catalogue import load_encoder
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config
from tests.lsr.train.tiny_training import write_pairs

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# A sentence of each script, and a query of its words.
TEXTS = {
    "latin": ("die Eule jagt in der Nacht", "Eule Nacht"),
    "cyrillic": ("сова охотится ночью в лесу", "сова ночью"),
    "greek": ("η κουκουβάγια κυνηγά τη νύχτα", "κουκουβάγια νύχτα"),
    "arabic": ("البومة تصطاد في الليل", "البومة الليل"),
    "devanagari": ("उल्लू रात में शिकार करता है", "उल्लू रात"),
    "han": ("猫头鹰在夜里捕猎", "猫头鹰 夜里"),
    "kana": ("フクロウは夜に狩りをします", "フクロウ 夜"),
    "hangul": ("올빼미는 밤에 사냥한다", "올빼미는 밤에"),
    "thai": ("นกฮูกล่าเหยื่อในเวลากลางคืน", "นกฮูก กลางคืน"),
}
CONFIG = Path(__file__).parents[3] / "benches/multilingual.toml"


def tiny_xlm_roberta(folder):
    """Random weights, with a unigram tokenizer as of sentencepiece, over all scripts above."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    lines = [text for pair in TEXTS.values() for text in pair]
    tokenizer.train_from_iterator(
        lines,
        trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>"),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    folder.mkdir()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(1)
    config = transformers.XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=80, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, type_vocab_size=1, initializer_range=0.3,
    )  # fmt: skip
    transformers.XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The recipe's configuration, with a tiny body, its own pairs, and a few steps."""
    folder = tmp_path_factory.mktemp("multilingual")
    base = tiny_xlm_roberta(folder / "base")
    pairs = [(query, f"{text} {number}") for text, query in TEXTS.values() for number in range(8)]
    write_pairs(folder / "pairs.jsonl", pairs)
    tables = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    tables["model"] |= {"base": str(base), "max_length": 48, "export_length": 48}
    tables["sources"] = [{"path": str(folder / "pairs.jsonl")}]
    # In place of the dense teacher; words by the script of each text.
    tables["teachers"] = [{"name": "bm25,analyzer=auto"}]
    tables["batches"] |= {"queries": 4, "negatives": 2}
    tables["optimizer"] |= {"steps": 6}
    tables["documents"]["target_nnz"] = 60
    tables["evaluation"] = {"every": 0}
    from lsr.train.config_file import to_toml

    written = folder / "training.toml"
    written.write_text(to_toml(parse_config(tables, TrainingConfig)), encoding="utf-8")
    return train(written, folder / "out")


def test_the_recipe_is_a_configuration():
    config = parse_config(tomllib.loads(CONFIG.read_text(encoding="utf-8")), TrainingConfig)
    assert config.model.queries == "idf"
    assert config.batches.negatives
    assert [each.name for each in config.teachers if "analyzer=auto" in each.name]


def test_both_readers_give_the_same_vectors(trained):
    from sentence_transformers import SparseEncoder

    texts = [text for text, _ in TEXTS.values()]
    ours = load_encoder(trained.encoder).encode_documents(texts).to_scipy().toarray()
    theirs = SparseEncoder(str(trained.student)).encode_document(texts, convert_to_tensor=True)
    np.testing.assert_allclose(ours, theirs.to_dense().numpy(), atol=1e-5)
    assert (ours > 0).any(axis=1).all()
    table = json.loads((trained.student / "idf.json").read_text(encoding="utf-8"))
    assert any(not token.isascii() and weight > 0 for token, weight in table.items())


@pytest.mark.parametrize("words", ["", ",words=yes"])
def test_every_script_is_indexed_and_found(trained, tmp_path, words):
    collection = open_or_create(tmp_path / "c", trained.encoder + words)
    documents = [Document(name, text) for name, (text, _) in TEXTS.items()]
    index_documents(collection, [Item("x", n, each) for n, each in enumerate(documents)])
    for name, (_, query) in TEXTS.items():
        hits = search(collection, SearchQuery(text=query)).hits
        assert hits, name
        if words:
            assert hits[0].id == name
    collection.close()
