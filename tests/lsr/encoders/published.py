"""Tiny checkpoints with random weights, in the layouts of the published ones."""

import json
from functools import lru_cache

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers

from lsr.vocabulary import Vocabulary

POSITIONS = 600
SIZES = {"max_position_embeddings": POSITIONS, "initializer_range": 0.4}
BERT = SIZES | {
    "vocab_size": 30522,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
IDF = {"wing": 3.5, "flow": 2, "layer": 0.75, "the": 0.0, "of": -1.0, "[CLS]": 9.0, "zzz": 1.0}
BPE_SAMPLE = ["The wing flow over a boundary layer, the Wing and the wings of the flow"] * 3


@lru_cache(maxsize=1)
def bert_tokenizer():
    return Vocabulary.bert_uncased().tokenizer.to_str()


def save_tokenizer(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(bert_tokenizer())
    return folder


def bert_mlm(folder, seed=1, **changed):
    return bert_model(save_tokenizer(folder), seed, **changed)


def bert_model(folder, seed=1, **changed):
    """Without a tokenizer."""
    torch.manual_seed(seed)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**BERT | changed))
    model.save_pretrained(folder)
    return folder


def distilbert_mlm(folder, seed=2):
    torch.manual_seed(seed)
    config = transformers.DistilBertConfig(**SIZES, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    transformers.DistilBertForMaskedLM(config).save_pretrained(save_tokenizer(folder))
    return folder


def with_idf(build):
    def make(folder):
        build(folder)
        (folder / "idf.json").write_text(json.dumps(IDF))
        return folder

    return make


def efficient(folder):
    """The layout of naver/efficient-splade-*-doc: the query model in a folder of the Router."""
    distilbert_mlm(folder)
    bert_mlm(folder / "query_0_MLMTransformer", seed=5, hidden_size=8)
    for side in ("query", "document"):
        (folder / f"{side}_1_SpladePooling").mkdir()
        pooling = '{"pooling_strategy": "max", "activation_function": "relu"}'
        (folder / f"{side}_1_SpladePooling/config.json").write_text(pooling)
    return folder


def byte_level_bpe(begin, end, added=()):
    """A tokenizer of byte-level BPE, as of RoBERTa and ModernBERT."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        BPE_SAMPLE,
        trainers.BpeTrainer(
            vocab_size=330,
            min_frequency=1,
            special_tokens=[begin, "<pad>", end, "<unk>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in added])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (begin, end)],
    )
    return tokenizer


def roberta_mlm(folder):
    torch.manual_seed(3)
    tokenizer = byte_level_bpe("<s>", "</s>")
    config = transformers.RobertaConfig(
        **BERT | {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 514},
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    transformers.RobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def modernbert_mlm(folder):
    torch.manual_seed(4)
    tokenizer = byte_level_bpe("[CLS]", "[SEP]", added=["[Q] ", "[D] "])
    sizes = {key: BERT[key] for key in BERT if key != "vocab_size"}
    config = transformers.ModernBertConfig(
        **sizes, vocab_size=tokenizer.get_vocab_size(), pad_token_id=1, bos_token_id=0,
        eos_token_id=2, cls_token_id=0, sep_token_id=2, attn_implementation="eager",
    )  # fmt: skip
    model = transformers.ModernBertForMaskedLM(config)
    with torch.no_grad():
        model.decoder.bias.normal_(12, 6)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def with_code(folder):
    """The layout of doc-v3-gte: an architecture that only the folder's own code knows."""
    with_idf(bert_mlm)(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "new",
        "architectures": ["NewForMaskedLM"],
        "auto_map": {
            "AutoConfig": "modeling.NewConfig",
            "AutoModelForMaskedLM": "modeling.NewForMaskedLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text(
        "from transformers import BertConfig, BertForMaskedLM\n\n\n"
        "class NewConfig(BertConfig):\n    model_type = 'new'\n\n\n"
        "class NewForMaskedLM(BertForMaskedLM):\n    config_class = NewConfig\n"
    )
    return folder


def bert_with_head(bert_prefix, head):
    """A BertModel and one more layer, each under the names of a published checkpoint."""

    def make(folder):
        torch.manual_seed(6)
        config = transformers.BertConfig(**BERT)
        model = transformers.BertModel(config, add_pooling_layer=False)
        layer = torch.nn.Linear(16, 1)
        tensors = {f"{bert_prefix}{name}": t for name, t in model.state_dict().items()}
        tensors |= {f"{head}.{name}": t for name, t in layer.state_dict().items()}
        config.save_pretrained(save_tokenizer(folder))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


def deepct(folder):
    torch.manual_seed(7)
    config = transformers.BertConfig(**BERT, num_labels=1)
    transformers.BertForTokenClassification(config).save_pretrained(save_tokenizer(folder))
    return folder


def sparta(folder):
    torch.manual_seed(8)
    config = transformers.DistilBertConfig(**SIZES, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    transformers.DistilBertModel(config).save_pretrained(save_tokenizer(folder))
    return folder


def epic(folder):
    torch.manual_seed(9)
    config = transformers.BertConfig(**BERT)
    model = transformers.BertForMaskedLM(config)
    torch.nn.init.normal_(model.cls.predictions.bias)
    tensors = {f"model.{name}": t.clone() for name, t in model.state_dict().items()}
    for head in ("term_importance.linear", "doc_quality.linear", "linear"):
        layer = torch.nn.Linear(16, 1)
        tensors |= {f"{head}.{name}": t for name, t in layer.state_dict().items()}
    config.save_pretrained(save_tokenizer(folder))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
