"""Encoders of published models: a preset, its checkpoint, and the options that change it."""

from __future__ import annotations

from collections.abc import Mapping

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import side_checkpoint
from lsr.encoders.decoder import DecoderConfig, DecoderEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.packaged import packaged_checkpoint
from lsr.encoders.presets import PRESETS, Preset
from lsr.encoders.two_sided import load_two_sided
from lsr.errors import UsageError
from lsr.settings import configure
from lsr.trusted_code import TrustedCode


def preset_of_hub_id(model: str) -> Preset | None:
    """The preset of that hub id, whatever its case."""
    for preset in PRESETS.values():
        if preset.hub and preset.hub.casefold() == model.casefold():
            return preset
    return None


def load_preset(
    preset: Preset, model: str, options: Mapping[str, str], trusted: TrustedCode
) -> SparseEncoder:
    """The preset's encoder, over its hub id, or over ``model`` where that is not empty.

    Raises:
        UsageError: there is no hub id and no model, or the query side's own model is not there.
    """
    named = model or (preset.name if preset.packaged else preset.hub)
    if not named:
        raise UsageError(
            f"no checkpoint of {preset.name!r} can be fetched; write {preset.name}:FOLDER"
        )
    if isinstance(preset.config, DecoderConfig):
        return DecoderEncoder.load(named, configure(DecoderConfig, options, preset.config))
    packaged = preset.packaged and not model
    checkpoint = packaged_checkpoint(named) if packaged else Checkpoint.resolve(named, trusted)
    needs_own = preset.query_hub is not None and "query.checkpoint" not in options
    if needs_own and not side_checkpoint(checkpoint, "query"):
        if named != preset.hub:
            raise UsageError(
                f"the queries of {preset.name!r} go through a model of their own; "
                f"add ,query.checkpoint=FOLDER, or ={preset.query_hub}"
            )
        options = {**options, "query.checkpoint": str(preset.query_hub)}
    return load_two_sided(preset.name, preset.config, checkpoint, options, trusted)
