"""Every family of sparse encoders, and an encoder by its name.

This is the roof over ``lsr.encoders``: nothing below imports it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lsr.analysis.analyzer import ANALYZERS
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import declared_components, side_checkpoint, term_weights
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.encoders.decoder import DecoderConfig, DecoderEncoder
from lsr.encoders.encoder import SparseEncoder, split_name
from lsr.encoders.open_vocabulary import open_vocabulary, split_options
from lsr.encoders.packaged import DEFAULT_ENCODER, PACKAGED
from lsr.encoders.preset_loader import load_preset, preset_of_hub_id
from lsr.encoders.presets import PRESETS
from lsr.encoders.two_sided import TWO_SIDED, load_two_sided
from lsr.errors import NotFoundError, UsageError
from lsr.settings import check_choice, configure, unquoted
from lsr.trusted_code import NO_CODE, TrustedCode, is_consent

log = logging.getLogger(__name__)
# A folder with one of them holds a model.
MODEL_FILES = ("config.json", "modules.json")


@dataclass(frozen=True, slots=True)
class EncoderName:
    """A parsed encoder name: ``[FAMILY:][MODEL][,key=value...]``.

    ``bm25``, ``bm25,k1=1.2``, ``naver/splade-v3``, ``splade:./folder,max_length=512`` and
    ``inference-free:./folder,idf=collection`` are names. A preset may stand for the family, as in
    ``splade-v3`` and ``splade-v3:./folder``. A value may stand in double quotes, so that it can
    be empty, or begin or end with a space.
    """

    family: str | None
    model: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, name: str) -> EncoderName:
        """Split a name.

        Raises:
            UsageError: the name is empty, an option is not ``key=value`` or stands twice, or the
                name says that code may run.
        """
        head, *settings = split_name(name.strip())
        options = dict(setting.partition("=")[::2] for setting in settings)
        whole = all(options) and all(options.values()) and len(options) == len(settings)
        if not head or not whole:
            raise UsageError(
                f"{name!r} is not an encoder name; write NAME or NAME,key=value, for example "
                "bm25, bm25,k1=1.2, splade:MODEL or MODEL,max_length=512 (the commas of a path "
                "are read as its own where it is a folder that exists)"
            )
        if any(map(is_consent, options)):
            raise UsageError(
                f"the encoder name {name!r} holds trust_remote_code, but no name can give that "
                "consent; leave it out and give --trust-remote-code (in Python "
                "trust_remote_code=True)"
            )
        options = {key: unquoted(value) for key, value in options.items()}
        if head in FAMILIES or head in PRESETS:
            return cls(head, "", options)
        family, colon, model = head.partition(":")
        if colon and (family in FAMILIES or family in PRESETS):
            return cls(family, model, options)
        return cls(None, head, options)


def load_encoder(name: str, trusted: TrustedCode = NO_CODE) -> SparseEncoder:
    """The encoder of that name; its weights are read when something is first encoded.

    A preset's handling applies where the preset is named, and where its hub id is given alone. A
    model folder of a preset's name comes before the preset, but for what ships with this package.
    Python code that a model brings runs only where it is ``trusted``.

    Raises:
        NotFoundError: no such checkpoint.
        UsageError: the name or one of its options is malformed, or the checkpoint runs code of
            its own, which is not trusted.
    """
    parsed = _over_folder(EncoderName.parse(name))
    if parsed.family == "bm25":
        return _load(name, parsed, trusted)
    own, words = split_options(parsed.options)
    encoder = _load(name, replace(parsed, options=own), trusted)
    preset = PRESETS.get(parsed.family or "")
    packaged = preset is not None and preset.packaged and not parsed.model
    return open_vocabulary(encoder, words, by_default=packaged)


def in_language(name: str, language: str, trusted: TrustedCode = NO_CODE) -> str:
    """The name of that encoder with its words made by the analyser of a language.

    Raises:
        UsageError: there is no such analyser, the encoder has no words, or its name says another.
    """
    check_choice("language", language, ANALYZERS)
    encoder = load_encoder(name, trusted)
    if not encoder.open:
        raise UsageError(
            f"{encoder.name} has no words, so --language has no effect; give bm25, MODEL,words=yes "
            "or the encoder that ships with lsr, or leave it out"
        )
    named = EncoderName.parse(name).options.get("analyzer")
    if named not in (None, language):
        raise UsageError(
            f"--language {language} is asked for, and analyzer={named} by the encoder's name; give "
            "one of them"
        )
    return name if named else f"{name},analyzer={language}"


def _load(name: str, parsed: EncoderName, trusted: TrustedCode) -> SparseEncoder:
    family = parsed.family
    if family == "bm25" and not parsed.model:
        return FAMILIES["bm25"](None, parsed.options)
    preset = PRESETS.get(family) if family else preset_of_hub_id(parsed.model)
    if preset:
        return load_preset(preset, parsed.model, parsed.options, trusted)
    _check_version(parsed.model)
    if not parsed.model:
        raise UsageError(f"{name!r} names no model; write {family}:MODEL")
    if family == "decoder":
        return FAMILIES["decoder"](parsed.model, parsed.options)
    checkpoint = Checkpoint.resolve(parsed.model, trusted)
    if family is None and (declared := declared_components(checkpoint)):
        return FAMILIES["pair"](checkpoint, _over(declared, parsed.options), trusted)
    if family is None:
        table = term_weights(checkpoint)
        tabled = table is not None and side_checkpoint(checkpoint, "query") is None
        family = "inference-free" if tabled else "splade"
    return FAMILIES[family](checkpoint, parsed.options, trusted)


def _over(declared: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Options of a name over those of its folder, one without a side over those of both."""
    return {k: v for k, v in declared.items() if k.partition(".")[2] not in given} | dict(given)


def _over_folder(parsed: EncoderName) -> EncoderName:
    """The folder of a known name, where there is one, in place of the published model.

    What this package has itself is known by its name alone, in collections too: it stays that. The
    log tells which of the two is meant.
    """
    known = parsed.family
    if not known or parsed.model or not any(Path(known, file).is_file() for file in MODEL_FILES):
        return parsed
    preset = PRESETS.get(known)
    if preset is None or preset.packaged:
        log.warning(
            "%s is the encoder of that name; for the folder beside, give ./%s", known, known
        )
        return parsed
    log.warning(
        "%s is read as the folder ./%s, not as the published model of that name; for the folder "
        "handled as that model give %s:./%s", known, known, known, known,
    )  # fmt: skip
    return EncoderName(None, f"./{known}", parsed.options)


def _check_version(model: str) -> None:
    stem = DEFAULT_ENCODER.rstrip("0123456789")
    if model.removeprefix(stem).isdecimal() and not Path(model).exists():
        raise NotFoundError(
            f"the model {model!r} came with another version of lsr; this one has "
            f"{' and '.join(PACKAGED)}: index again with one, or install the version that has "
            f"{model}"
        )


def _bm25(
    checkpoint: Checkpoint | None, options: Mapping[str, str], trusted: TrustedCode = NO_CODE
) -> SparseEncoder:
    return Bm25Encoder(configure(Bm25Config, options), checkpoint)


def _decoder(model: str, options: Mapping[str, str]) -> SparseEncoder:
    return DecoderEncoder.load(model, configure(DecoderConfig, options))


def _pair(family: str) -> Callable[..., SparseEncoder]:
    return lambda checkpoint, options, trusted: load_two_sided(
        family, TWO_SIDED[family], checkpoint, options, trusted
    )


FAMILIES: dict[str, Callable[..., SparseEncoder]] = {
    "bm25": _bm25,
    **{family: _pair(family) for family in TWO_SIDED},
    "decoder": _decoder,
}
