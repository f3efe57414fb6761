"""Model checkpoints: a local folder, or a Hugging Face hub id fetched into the local cache."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lsr.backbones.json_files import read_json_object
from lsr.backbones.pipeline import TRANSFORMERS, pipeline
from lsr.backbones.tokenizer import load_tokenizer
from lsr.backbones.tokenizer_settings import needs_transformers, obey_settings, spelling
from lsr.corpus.files import user_path
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, VARIABLE, TrustedCode
from lsr.vocabulary import Vocabulary

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
# The newest name first; the others are those of old releases.
TRANSFORMER_SETTINGS = (
    "sentence_bert_config.json",
    *(
        f"sentence_{kind}_config.json"
        for kind in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
TOKENIZER_FILES = ["*.json", "*.txt", "*.model"]
FETCHED = [*TOKENIZER_FILES, "*.safetensors"]
NOT_FETCHED = ["onnx/*", "openvino/*"]
# Members of config.json that say where a model came from, not what it computes.
NOT_ARCHITECTURE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}
# A repository, or a folder inside one, whose names don't begin with a dot.
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")


class _ReadTokenizer(NamedTuple):
    vocabulary: Vocabulary
    changed: str


@dataclass(frozen=True)
class Checkpoint:
    """A model in Hugging Face layout, on this machine.

    ``folder`` holds the model; ``within`` what was named, where that is another folder: the root
    of a sentence-transformers folder whose (document) model lies in a folder of its own.
    ``trusted`` tells that Python code of its own may run.
    """

    name: str
    folder: Path
    within: Path | None = None
    trusted: bool = False

    @classmethod
    def resolve(
        cls,
        name: str,
        trusted: TrustedCode = NO_CODE,
        holding: Sequence[str] = (CONFIG,),
        fetched: Sequence[str] = FETCHED,
    ) -> Checkpoint:
        """Find a folder, or fetch a hub id: ``owner/model`` or ``owner/model/folder``.

        Args:
            name: the folder or the hub id.
            trusted: the models whose Python code may run, which then is fetched too.
            holding: files of which the folder must have one.
            fetched: patterns of the files that are fetched from the hub.

        Raises:
            InputError: the folder's list of modules is malformed, or has no transformer.
            NotFoundError: ``name`` is neither, or holds none of those files.
        """
        folder = user_path(name)
        if is_folder(folder):
            folder = folder.resolve()
            code = trusted.allows(str(folder))
            return cls._at(str(folder), folder, f"the folder {name!r}", holding, code)
        if name.startswith((".", "/", "~")) or not HUB_ID.fullmatch(name):
            raise NotFoundError(
                f"the model folder {name!r} does not exist; "
                "give an existing folder, a Hugging Face hub id, or 'bm25'"
            )
        code = trusted.allows(name)
        wanted = [*fetched, "*.py"] if code else fetched
        return cls._at(name, _fetch(name, wanted), f"the hub's {name!r}", holding, code)

    @classmethod
    def _at(
        cls, name: str, folder: Path, where: str, holding: Sequence[str], trusted: bool
    ) -> Checkpoint:
        if CONFIG in holding and (inside := _model_folder(folder)):
            return cls(name, inside, folder, trusted)
        if any((folder / file).is_file() for file in holding):
            return cls(name, folder, trusted=trusted)
        for path in sorted(folder.glob("document_*Transformer/config.json")):
            return cls(name, path.parent, folder, trusted)
        if kinds := [module.kind for module in pipeline(folder, "document")]:
            raise InputError(
                f"{where} has the modules {', '.join(kinds)}, and none of them is a transformer "
                "with a config.json; give a model whose first module is a Transformer"
            )
        raise NotFoundError(
            f"{where} holds no {' or '.join(holding)}; give a model folder in Hugging Face layout"
        )

    @property
    def root(self) -> Path:
        """The folder that was named."""
        return self.within or self.folder

    def root_path(self, filename: str) -> Path | None:
        """A file of the folder that was named, or None where it has no such file."""
        path = self.root / filename
        return path if path.is_file() else None

    def path(self, filename: str) -> Path | None:
        """A file of the checkpoint, or None where it has no such file."""
        path = self.folder / filename
        return path if path.is_file() else None

    def json(self, filename: str) -> Any:
        """The JSON object in a file of the checkpoint, or None where it has no such file.

        Raises:
            InputError: the file is too large, or holds no JSON object.
        """
        path = self.path(filename) or self.root_path(filename)
        if path is None:
            return None
        return read_json_object(path)

    @property
    def transformer_settings(self) -> dict[str, Any]:
        """What sentence-transformers keeps of its Transformer module, empty where it does not.

        Raises:
            InputError: the file holds no JSON object.
        """
        for file in TRANSFORMER_SETTINGS:
            if found := self.json(file):
                return dict(found)
        return {}

    @property
    def vocabulary(self) -> Vocabulary:
        """The checkpoint's tokenizer, read without transformers where it has a fast one.

        Raises:
            InputError: it has none, a damaged one, or one without a fast form.
            MissingDependencyError: transformers has to make it, and is not installed.
        """
        return self._tokenizer.vocabulary

    @property
    def tokenization(self) -> str:
        """What settings change of how tokenizer.json cuts text, as JSON; empty for nothing.

        Raises:
            InputError: as for ``vocabulary``.
            MissingDependencyError: as for ``vocabulary``.
        """
        readable = self.path(TOKENIZER) is not None or self._lowers
        return self._tokenizer.changed if readable else ""

    @property
    def _lowers(self) -> bool:
        return self.transformer_settings.get("do_lower_case") is True

    @cached_property
    def _tokenizer(self) -> _ReadTokenizer:
        config, settings = self.json(CONFIG) or {}, self.json(TOKENIZER_SETTINGS) or {}
        path = self.path(TOKENIZER)
        if path is None:
            read = Vocabulary.from_tokenizer(load_tokenizer(self.folder, self.name))
        else:
            try:
                read = Vocabulary.from_json(path.read_text(encoding="utf-8"))
            except Exception as error:  # tokenizers raises nothing more specific
                raise InputError(f"{path} is no tokenizer: {error}") from error
            if needs_transformers(read.tokenizer, config, settings):
                made = load_tokenizer(self.folder, self.name)
                return _ReadTokenizer(Vocabulary.from_tokenizer(made), spelling(made))
        if path is None:
            config, settings = {}, {}
        obeying = obey_settings(read.tokenizer, config, settings, self._lowers, self.name)
        if obeying is None:
            return _ReadTokenizer(read, "")
        return _ReadTokenizer(Vocabulary.from_json(obeying.to_str()), spelling(obeying))

    @cached_property
    def weights(self) -> list[Path]:
        """The files that transformers would read: the weights, or their shards, and no others.

        Copies of other precision, averages and adapters beside them are left alone.

        Raises:
            InputError: the index of shards is malformed, a shard is missing, or the folder asks
                for an adapter over another model.
            NotFoundError: the checkpoint has no safetensors file of that name.
        """
        if self.path("adapter_config.json"):
            raise InputError(
                f"the folder of {self.name!r} holds a LoRA adapter, which changes the weights of "
                "the model that it names; merge it with peft's merge_and_unload, and give the "
                "merged model"
            )
        if path := self.path(WEIGHTS):
            return [path]
        if path := self.path(SHARDS):
            return _shards(path)
        raise NotFoundError(
            f"the checkpoint {self.name!r} has no .safetensors weights, and pickled weights are "
            f"not loaded (looked for {WEIGHTS} and {SHARDS}); convert them with transformers' "
            "save_pretrained first"
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights, architecture and changes of the tokenizer, wherever it lies.

        Raises:
            InputError: as for ``weights`` and ``vocabulary``.
            NotFoundError: as for ``weights``.
        """
        config = self.json(CONFIG) or {}
        architecture = {key: config[key] for key in config.keys() - NOT_ARCHITECTURE}
        total = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode())
        total.update(self.tokenization.encode())
        for path in self.weights:
            with path.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    @property
    def code(self) -> str | None:
        """The code of its own that this checkpoint asks to run, or None.

        It is what ``auto_map`` of config.json names, where transformers has no such architecture.
        """
        config = self.json(CONFIG) or {}
        named, kind = config.get("auto_map"), config.get("model_type")
        if not isinstance(named, dict) or not named or not isinstance(kind, str):
            return None
        if kind == "bert":
            return None
        if find_spec("transformers") is None:
            raise MissingDependencyError(f"the model {self.name!r}", "transformers", "models")
        module = kind.replace("-", "_")
        known = module.isidentifier() and find_spec(f"transformers.models.{module}") is not None
        first = next(iter(named.values()))
        return None if known else str(named.get("AutoModelForMaskedLM", first))

    @property
    def code_digest(self) -> str | None:
        """SHA-256 over the Python files of a checkpoint that runs them; None where it has none."""
        paths = sorted(self.folder.glob("*.py")) if self.code else []
        if not paths:
            return None
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()

    def check_code(self, may_run: bool = False) -> None:
        """Raise UsageError if the checkpoint asks to run code of its own, which isn't trusted.

        Where it is trusted too, unless it ``may_run`` for what the checkpoint is used as.
        """
        if (may_run and self.trusted) or not (code := self.code):
            return
        advice = (
            "which only masked language models may, in an encoder such as splade:MODEL; give a "
            "model that transformers has itself"
        )
        if may_run:
            advice = (
                "which needs consent; read it, and if you trust it give --trust-remote-code "
                f"(in Python trust_remote_code=True), or list the model in {VARIABLE}"
            )
        raise UsageError(
            f"the checkpoint {self.name!r} runs Python code of its own ({code}), {advice}"
        )


def _model_folder(folder: Path) -> Path | None:
    """The folder of the (document) model, where modules.json says that it isn't the root."""
    for module in pipeline(folder, "document")[:1]:
        inside = folder / module.path
        if module.path and module.kind in TRANSFORMERS and (inside / CONFIG).is_file():
            return inside
    return None


def _shards(index: Path) -> list[Path]:
    """The files that an index of shards names, in the order of their names."""
    named = read_json_object(index).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    plain = {name for name in names if isinstance(name, str) and Path(name).name == name}
    if not plain or not all(isinstance(name, str) and name in plain for name in names):
        raise InputError(
            f"{index} has no weight_map from tensors to files beside it; restore the checkpoint's "
            "own file"
        )
    paths = [index.parent / name for name in sorted(plain)]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise InputError(f"{index} names {missing[0]}, which is missing; fetch the model again")
    return paths


def is_folder(path: Path) -> bool:
    """Whether it is a folder; a name that is too long for one is none."""
    try:
        return path.is_dir()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _fetch(name: str, files: Sequence[str]) -> Path:
    """The folder of ``owner/model`` or ``owner/model/folder`` in the local cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, inside = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
    wanted = [f"{inside}/{pattern}" if inside else pattern for pattern in files]
    try:
        found = snapshot_download(repository, allow_patterns=wanted, ignore_patterns=NOT_FETCHED)
        return Path(found) / inside
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise NotFoundError(
            f"{name!r} is not a built-in encoder, not a folder, and could not be had from the "
            f"Hugging Face hub ({reason}); give 'bm25', a model folder, or a hub id that this "
            "machine can reach"
        ) from error
