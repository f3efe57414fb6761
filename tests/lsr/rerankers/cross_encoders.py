"""Tiny cross-encoders with random weights, in the layouts of the published ones."""

import json

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from lsr.vocabulary import Vocabulary

SIZES = {
    "Bert": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 32},
    "DistilBert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "ModernBert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                   "intermediate_size": 24, "pad_token_id": 0, "cls_token_id": 101,
                   "sep_token_id": 102, "bos_token_id": 101, "eos_token_id": 102},
    "ConvBert": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                 "intermediate_size": 32, "embedding_size": 16},
}  # fmt: skip
IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"


def save_tokenizer(folder, kind="Bert", length=64):
    vocabulary = Vocabulary.bert_uncased()
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    pieces = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pieces
    )
    names = ["input_ids", "attention_mask"]
    types = ["token_type_ids"] if kind in ("Bert", "ConvBert") else []
    saved = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        unk_token="[UNK]", mask_token="[MASK]", model_max_length=length,
        model_input_names=[*names, *types],
    )  # fmt: skip
    saved.save_pretrained(folder)


def config_of(kind, labels, **others):
    spread = {"initializer_range": 0.5}
    if kind == "ModernBert":
        spread |= {"initializer_cutoff_factor": 2.0, "reference_compile": False}
    return getattr(transformers, f"{kind}Config")(
        vocab_size=Vocabulary.bert_uncased().size, max_position_embeddings=64, num_labels=labels,
        **spread, **SIZES[kind], **others,
    )  # fmt: skip


def save_cross_encoder(folder, kind="Bert", labels=1, seed=3, **config):
    """What transformers alone saves; ``config`` holds further members of config.json."""
    torch.manual_seed(seed)
    made = config_of(kind, labels, **config)
    model = getattr(transformers, f"{kind}ForSequenceClassification")(made)
    model.save_pretrained(folder)
    save_tokenizer(folder, kind)
    return folder


def save_with_settings(folder, kind="Bert", labels=1, **settings):
    """What sentence-transformers 5 and later save of it: with modules and settings."""
    from sentence_transformers import CrossEncoder

    save_cross_encoder(folder / "plain", kind, labels)
    model = CrossEncoder(str(folder / "plain"), device="cpu")
    model.save_pretrained(str(folder / "saved"))
    path = folder / "saved/config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder / "saved"


def save_pooled(folder, kind="ModernBert", pooling="cls"):
    """The layout of the Ettin family: Transformer, Pooling, Dense, LayerNorm, Dense."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    torch.manual_seed(7)
    body = folder / "body"
    getattr(transformers, f"{kind}Model")(config_of(kind, 1)).save_pretrained(body)
    save_tokenizer(body, kind)
    modules = [
        Transformer(str(body), transformer_task="feature-extraction"),
        Pooling(16, pooling_mode=pooling),
        Dense(16, 16, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(16),
        Dense(16, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    model = CrossEncoder(modules=modules, device="cpu", activation_fn=torch.nn.Identity())
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved"
