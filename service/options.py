"""Options that several commands share."""

from __future__ import annotations

import click

engine_option = click.option(
    "--engine", default="native", show_default=True, help="native or reference."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
