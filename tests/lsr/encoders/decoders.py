"""Tiny decoder-only checkpoints, and their term weights computed one text at a time."""

import json

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

TEXTS = [
    "a wing",
    "boundary layer flow over a flat plate in hypersonic flow",
    "",
    "naïve 中文 👩‍👩‍👧",
    "plate flow plate flow plate",
    "  \n",
    "def area(x): return x ** 2",
]
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
}


def byte_level(template=True):
    """Byte-level BPE as of Llama 3, or as of Qwen where nothing is put around a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<bos>", "<eos>"],
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    if template:
        tokenizer.post_processor = TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 0)]
        )
    return tokenizer


def sentence_piece():
    """BPE over pieces that begin words with ▁, unknown characters as bytes, as of Mistral 7B."""
    pieces = ["<unk>", "<bos>", "<eos>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", *"abcdefghijklmnopqrstuvwxyz()", "pl", "▁w", "fl"]
    vocabulary = {piece: term for term, piece in enumerate(pieces)}
    merges = [("p", "l"), ("▁", "w"), ("f", "l")]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.add_special_tokens(["<unk>", "<bos>", "<eos>"])
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    return tokenizer


def save(folder, architecture, tokenizer, **settings):
    """A checkpoint with random weights; ``architecture`` is the beginning of its class names."""
    torch.manual_seed(5)
    terms = tokenizer.get_vocab_size()
    values = SIZES | {"vocab_size": terms, "bos_token_id": None, "eos_token_id": None} | settings
    config = getattr(transformers, f"{architecture}Config")(**values)
    getattr(transformers, f"{architecture}ForCausalLM")(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<bos>", "eos_token": {"content": "<eos>", "special": True}}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


class Plain:
    """The logits of transformers' model for one text, then pooling; nothing shared with lsr."""

    def __init__(self, folder, tokenizer=None):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str((tokenizer or folder) / "tokenizer.json")
        )

    def tokens(self, text, max_length, bos, eos):
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        before = [] if bos is None else [bos]
        after = [] if eos is None else [eos]
        return before + ids[: max_length - len(before) - len(after)] + after

    def logits(self, ids, bidirectional):
        mask = None
        if bidirectional:
            window = getattr(self.model.config, "sliding_window", None) or len(ids)
            mask = torch.full((1, 1, len(ids), len(ids)), torch.finfo(torch.float32).min)
            for row in range(len(ids)):
                for column in range(len(ids)):
                    if abs(row - column) <= window:
                        mask[0, 0, row, column] = 0
        with torch.inference_mode():
            return self.model(torch.tensor([ids]), attention_mask=mask).logits[0]

    def __call__(
        self,
        texts,
        *,
        prefix="",
        bos=None,
        eos=None,
        echo=False,
        bidirectional=False,
        max_length=256,
        logs=1,
        shift=0.0,
        top_k=None,
    ):
        terms = len(self.tokenizer)
        vectors = np.zeros((len(texts), terms), dtype=np.float32)
        for row, text in enumerate(texts):
            if not text.strip():
                continue
            ids = self.tokens(prefix + text, max_length, bos, eos)
            logits = self.logits(ids * 2 if echo else ids, bidirectional)
            logits = logits[len(ids) :] if echo else logits
            vector = torch.relu(logits.max(dim=0).values[:terms] - shift)
            for _ in range(logs):
                vector = torch.log1p(vector)
            if top_k:
                vector[torch.argsort(-vector, stable=True)[top_k:]] = 0
            vectors[row, : len(vector)] = vector.numpy()
        return vectors
