"""``lsr serve``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import host_option, port_option, trust_option

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode


@click.command("serve")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@host_option
@port_option
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="Answer requests to this name too, as a proxy's; again for more.  [default: loopback and "
    "the address listened on; where that isn't loopback, the machine's name and any address]",
)
@click.option(
    "--reranker",
    "rerankers",
    metavar="MODEL",
    multiple=True,
    help="Let requests re-rank by this model, as --rerank of lsr search takes it; again for more.",
)
@trust_option
def serve_command(
    paths: Sequence[Path],
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    rerankers: Sequence[str],
    trusted: TrustedCode,
) -> None:
    """Serve REST API and search page over PATHS: collections, or folders of collections."""
    serve(paths, host, port, trusted, allowed_hosts, rerankers)


def serve(
    paths: Sequence[Path],
    host: str,
    port: int,
    trusted: TrustedCode,
    allowed_hosts: Sequence[str] = (),
    rerankers: Sequence[str] = (),
) -> None:
    """Say where the server listens, and serve until interrupted."""
    from service.api.server import Server
    from service.commands import terminal

    server = Server.listening(paths, host, port, allowed_hosts, trusted, rerankers)
    terminal.out.print(f"\nsearch page {server.address}/ · API {server.address}/docs")
    if not server.is_loopback:
        terminal.err.print(
            f"listening on {host}: everyone who reaches this address can search, write and delete; "
            "put a proxy with access control in front"
        )
    if not server.indexes.names():
        folder = paths[0]
        terminal.out.print(
            f"no index in {folder} yet; create one with: lsr index CORPUS --into {folder}/NAME"
        )
    server.run()
