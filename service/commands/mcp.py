"""``lsr mcp``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.commands.options import PLACE, trust_option

if TYPE_CHECKING:
    from index.opening import Place
    from lsr.trusted_code import TrustedCode


@click.command("mcp")
@click.argument("paths", nargs=-1, required=True, type=PLACE)
@trust_option
def mcp_command(paths: tuple[Place, ...], trusted: TrustedCode) -> None:
    """Let a language model search PATHS: collections, or folders of collections.

    Speaks the Model Context Protocol over standard input and output, as programs that talk with
    models start it; its tools search, read documents and list what there is, and change nothing.
    """
    from service.mcp.stdio import serve

    serve(paths, trusted)
