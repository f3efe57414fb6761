"""``lsr serve``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.commands.options import PLACE, trust_option

if TYPE_CHECKING:
    from index.opening import Place
    from lsr.trusted_code import TrustedCode
    from service.settings import ServerSettings

log = logging.getLogger(__name__)


@click.command("serve")
@click.argument("paths", nargs=-1, type=PLACE)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0: any free one.  [default: 8000]")
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Processes that serve; more than one for more cores than one.  [default: 1]",
)
@click.option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    help="Answer requests to this name too, as a proxy's; again for more.  [default: loopback and "
    "the address listened on; where that isn't loopback, the machine's name and any address]",
)
@click.option(
    "--allow-origin",
    metavar="ORIGIN",
    multiple=True,
    help="Let pages of another site ask, as https://www.example.org; again for more.",
)
@click.option(
    "--tls-cert",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Speak TLS by the certificate of a PEM file.",
)
@click.option(
    "--tls-key", metavar="FILE", type=click.Path(path_type=Path), help="Its private key, in PEM."
)
@click.option(
    "--open-to-all",
    is_flag=True,
    default=None,
    help="Serve others without any key, behind a proxy that asks who they are.",
)
@click.option(
    "--reranker",
    metavar="MODEL",
    multiple=True,
    help="Let requests re-rank by this model, as --rerank of lsr search takes it; again for more.",
)
@click.option(
    "--follow",
    metavar="SNAPSHOTS",
    help="Answer from copies of the newest snapshots in a folder or object store, as lsr snapshot "
    "--to publishes them; PATHS is the folder to copy them to.",
)
@click.option(
    "--writer",
    metavar="URL",
    help="With --follow: the server that takes writes, for those who try to write to this one.",
)
@click.option(
    "--state",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where keys, aliases and tasks are kept.  [default: .lsr/server.sqlite in the first "
    "folder of PATHS]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="How the log is written; json: an object a line.  [default: text]",
)
@click.option(
    "--access-log", is_flag=True, default=None, help="Log each request, on standard output."
)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="LSR_SERVE_CONFIG",
    help="A TOML file of settings; variables LSR_SERVE_NAME and options go before it.",
)
@click.option(
    "--print-config", is_flag=True, help="Print the settings as that file, and serve nothing."
)
@trust_option
def serve_command(
    paths: tuple[Place, ...],
    file: Path | None,
    print_config: bool,
    trusted: TrustedCode,
    **options: Any,
) -> None:
    """Serve REST API and search page over PATHS: collections, folders of collections, or addresses
    of collections in Qdrant.

    With --follow, PATHS is the folder of a replica for its copies of snapshots.
    """
    from lsr.errors import UsageError
    from service.settings import ServerSettings

    settings = ServerSettings.load(_given({"paths": paths, **options}), file)
    if print_config:
        click.echo(settings.to_toml(), nl=False)
        return
    if not settings.paths:
        raise UsageError("say what to serve: collections, or a folder of collections")
    serve(settings, trusted)


def serve(settings: ServerSettings, trusted: TrustedCode) -> None:
    """Say where the server listens, and serve until interrupted."""
    from service.api.app import state_path
    from service.api.server import Server

    server = Server.listening(settings, trusted)
    _say(settings, f"\nsearch page {server.address}/ · API {server.address}/docs")
    if server.is_open_to_others:
        _warn(
            settings,
            f"listening on {settings.host}: everyone who reaches this address can search, write "
            "and delete; put a proxy with access control in front",
        )
    folder = server.served.folder
    if folder is not None and state_path(settings, server.served) is None:
        _warn(
            settings,
            f"{folder} can't be written to: keys, aliases and tasks are forgotten when the server "
            "ends; keep them with --state FILE",
        )
    if settings.follow is not None:
        _say(settings, f"following the snapshots in {settings.follow}")
    elif not server.served.names():
        folder = settings.folders[0]
        _say(
            settings,
            f"no index in {folder} yet; create one with: lsr index CORPUS --into {folder}/NAME",
        )
    server.run()


def _say(settings: ServerSettings, sentence: str) -> None:
    """To people as it is; as a record where the log is JSON, so that nothing else is printed."""
    from service.commands import terminal

    if settings.log_format == "json":
        log.info("%s", sentence.strip())
    else:
        terminal.out.print(sentence)


def _warn(settings: ServerSettings, sentence: str) -> None:
    from service.commands import terminal

    if settings.log_format == "json":
        log.warning("%s", sentence)
    else:
        terminal.err.print(sentence)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was said on the command line, of options that may be left out."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
