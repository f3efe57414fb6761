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
from typing import Any

from lsr.corpus.files import user_path
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, VARIABLE, TrustedCode
from lsr.vocabulary import Vocabulary

TOKENIZER_FILES = ["*.json", "*.txt", "*.model"]
FETCHED = [*TOKENIZER_FILES, "*.safetensors"]
NOT_FETCHED = ["onnx/*", "openvino/*"]
# Members of config.json that say where a model came from, not what it computes.
NOT_ARCHITECTURE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}
LARGEST_JSON = 256 << 20
# A repository, or a folder inside one, whose names don't begin with a dot.
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")


@dataclass(frozen=True)
class Checkpoint:
    """A model in Hugging Face layout, on this machine.

    ``folder`` holds the model; ``within`` what was named, where that is another folder: the root
    of a sentence-transformers Router, whose document model lies in a folder of its own.
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
        holding: Sequence[str] = ("config.json",),
        fetched: Sequence[str] = FETCHED,
    ) -> Checkpoint:
        """Find a folder, or fetch a hub id: ``owner/model`` or ``owner/model/folder``.

        Args:
            name: the folder or the hub id.
            trusted: the models whose Python code may run, which then is fetched too.
            holding: files of which the folder must have one.
            fetched: patterns of the files that are fetched from the hub.

        Raises:
            NotFoundError: ``name`` is neither, or holds none of those files.
        """
        folder = user_path(name)
        if _is_folder(folder):
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
        if any((folder / file).is_file() for file in holding):
            return cls(name, folder, trusted=trusted)
        for path in sorted(folder.glob("document_*Transformer/config.json")):
            return cls(name, path.parent, folder, trusted)
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
        value = read_json(path)
        if not isinstance(value, dict):
            raise InputError(f"{path} holds no JSON object; restore the checkpoint's own file")
        return value

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The checkpoint's tokenizer, read without transformers where it has a fast one.

        Raises:
            InputError: it has none, a damaged one, or one without a fast form.
        """
        if path := self.path("tokenizer.json"):
            try:
                return Vocabulary.from_json(path.read_text(encoding="utf-8"))
            except Exception as error:  # tokenizers raises nothing more specific
                raise InputError(f"{path} is no tokenizer: {error}") from error
        from lsr.backbones.tokenizer import load_tokenizer

        return Vocabulary.from_tokenizer(load_tokenizer(self.folder, self.name))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights and architecture, wherever the folder lies.

        Raises:
            NotFoundError: the checkpoint has no safetensors file.
        """
        weights = sorted(self.folder.glob("*.safetensors"))
        if not weights:
            raise NotFoundError(
                f"the checkpoint {self.name!r} has no .safetensors weights, and pickled weights "
                "are not loaded; convert them with transformers' save_pretrained first"
            )
        config = self.json("config.json") or {}
        architecture = {key: config[key] for key in config.keys() - NOT_ARCHITECTURE}
        total = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode())
        for path in weights:
            with path.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    @property
    def code(self) -> str | None:
        """The code of its own that this checkpoint asks to run, or None.

        It is what ``auto_map`` of config.json names, where transformers has no such architecture.
        """
        config = self.json("config.json") or {}
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


def read_json(path: Path) -> Any:
    """Parse a JSON file of bounded size.

    Raises:
        InputError: the file is larger than 256 MiB or no JSON.
    """
    if path.stat().st_size > LARGEST_JSON:
        raise InputError(f"{path} is larger than {LARGEST_JSON >> 20} MiB; no such JSON is read")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def _is_folder(path: Path) -> bool:
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
