"""``lsr info``."""

from __future__ import annotations

from pathlib import Path

import click

from service.commands.options import json_option


@click.command("info")
@click.argument("collection", type=click.Path(path_type=Path))
@json_option
def info_command(collection: Path, as_json: bool) -> None:
    """Show what COLLECTION holds."""
    from dataclasses import asdict

    from index.collection.collection import Collection
    from service.commands import terminal

    opened = Collection.open(collection)
    description = opened.describe() | {"splitting": opened.passages}
    fields = [asdict(field) for field in opened.fields]
    if as_json:
        terminal.print_json(description | {"fields": fields})
        return
    for name, value in description.items():
        terminal.out.print(f"{name:12}{f'{value:,}' if isinstance(value, int) else value}")
    columns = {"name": "field", "size": "size", "fingerprint": "fingerprint", "encoder": "encoder"}
    terminal.print_table(fields, columns)
