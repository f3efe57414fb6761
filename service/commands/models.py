"""``lsr models``: the published models that an encoder name stands for."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from lsr.errors import NotFoundError
from service.commands.options import json_option


@click.command("models")
@click.argument("name", required=False)
@click.option("--rerankers", is_flag=True, help="List the models that --rerank knows by name.")
@json_option
def models_command(name: str | None, rerankers: bool, as_json: bool) -> None:
    """List the published models that --encoder knows by name, or show all about NAME.

    A name fetches its model, NAME:FOLDER takes weights of your own, and ,key=value changes a
    setting. Length is the number of tokens of a document that count.
    """
    from lsr.encoders.presets import PRESETS
    from service.commands import terminal

    if rerankers:
        _print_rerankers(name, as_json)
        return
    if name is not None:
        if name not in PRESETS:
            near = get_close_matches(name, PRESETS, n=1)
            hint = f"did you mean {near[0]}?" if near else "lsr models lists all"
            raise NotFoundError(f"no model is named {name!r}; {hint}")
        card = PRESETS[name].card() | {"settings": PRESETS[name].settings()}
        if as_json:
            terminal.print_json(card)
        else:
            _print_card(card)
        return
    cards = [preset.card() for preset in PRESETS.values()]
    if as_json:
        terminal.print_json(cards)
        return
    columns = {
        "name": "name",
        "hub": "model",
        "max_length": "length",
        "licence": "licence",
        "paper": "paper",
        "handling": "handling",
    }
    table = [card | {"hub": _place(card) or "-"} for card in cards]
    terminal.print_table(table, columns, ("name", "hub"))


def _print_rerankers(name: str | None, as_json: bool) -> None:
    from lsr.rerankers.presets import RERANKER_PRESETS
    from service.commands import terminal

    if name is not None and name not in RERANKER_PRESETS:
        raise NotFoundError(f"no re-ranker is named {name!r}; lsr models --rerankers lists all")
    presets = RERANKER_PRESETS.values() if name is None else [RERANKER_PRESETS[name]]
    cards = [preset.card() for preset in presets]
    if as_json:
        terminal.print_json(cards if name is None else cards[0])
        return
    columns = {
        "name": "name",
        "hub": "model",
        "size": "million weights",
        "max_length": "length",
        "licence": "licence",
        "handling": "handling",
    }
    shown = [card | {"size": f"{card['size']:g}"} for card in cards]
    terminal.print_table(shown, columns, ("name", "hub"))


def _print_card(card: dict[str, Any]) -> None:
    from service.commands import terminal

    lines = {
        "name": card["name"],
        "model": _place(card) or f"none to fetch; write {card['name']}:FOLDER",
        "query model": card["query_hub"],
        "licence": card["licence"],
        "paper": card["paper"],
        "length": f"{card['max_length']:,} tokens",
        "handling": card["handling"],
    }
    lines |= {f"{side}s" if side == "document" else "queries": text
              for side, text in card["settings"].items()}  # fmt: skip
    for label, text in lines.items():
        if text is not None:
            terminal.out.print(f"{label:12}{text}", markup=False)


def _place(card: dict[str, Any]) -> str | None:
    return "ships with lsr" if card["packaged"] else card["hub"]
