"""``lsr info``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.commands.options import PLACE, json_option

if TYPE_CHECKING:
    from index.opening import Place


@click.command("info")
@click.argument("collection", type=PLACE)
@json_option
def info_command(collection: Place, as_json: bool) -> None:
    """Show what COLLECTION holds."""
    from dataclasses import asdict

    from index.opening import open_collection
    from index.search.defaults import read_defaults, settings_text
    from service.commands import terminal
    from service.commands.metadata_output import kinds_text

    opened = open_collection(collection)
    description = opened.describe() | {"splitting": opened.passages}
    fields = [asdict(field) for field in opened.fields]
    keys = opened.describe_metadata()
    tuned = read_defaults(opened)
    if as_json:
        metadata = [{"key": each.key, "kinds": dict(each.kinds)} for each in keys]
        defaults = {using: each.texts() for using, each in tuned.items()}
        terminal.print_json(
            description | {"fields": fields, "metadata": metadata, "search_defaults": defaults}
        )
        return
    for name, value in description.items():
        terminal.out.print(f"{name:12}{f'{value:,}' if isinstance(value, int) else value}")
    columns = {"name": "field", "size": "size", "fingerprint": "fingerprint", "encoder": "encoder"}
    terminal.print_table(fields, columns)
    if keys:
        rows = [{"key": each.key, "kinds": kinds_text(each.kinds)} for each in keys]
        terminal.print_table(rows, {"key": "metadata key", "kinds": "values"})
    if tuned:
        defaults_rows = [{"using": u, "settings": settings_text(each)} for u, each in tuned.items()]
        columns = {"using": "searched", "settings": "tuned defaults"}
        terminal.print_table(defaults_rows, columns, whole=["settings"])
