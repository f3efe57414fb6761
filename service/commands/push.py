"""``lsr push``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import FOLDER, json_option, trust_option

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode


@click.command("push")
@click.argument("collection", type=FOLDER)
@click.option(
    "--to",
    "address",
    metavar="ADDRESS",
    required=True,
    help="Where to: qdrant://HOST[:PORT]/NAME, qdrants:// for TLS, qdrant-edge:///FOLDER.",
)
@click.option(
    "--alias",
    metavar="NAME",
    help="Then, once all is verified, let this alias stand for it, in the place of what it stood "
    "for.",
)
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    metavar="N",
    help="Shards of a new collection there.  [default: as Qdrant decides]",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    metavar="N",
    help="Copies of each shard of a new collection.  [default: as Qdrant decides]",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@trust_option
@json_option
def push_command(
    collection: Path,
    address: str,
    alias: str | None,
    shards: int | None,
    replicas: int | None,
    quiet: bool,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Copy COLLECTION to Qdrant, or bring the copy there up to date.

    Only what is not there is sent, and what is gone is deleted, so the same command goes on after
    an interruption. The copy is verified: how many points it has, the digest of its documents, and
    the vectors of some. The key of the server is taken from LSR_QDRANT_API_KEY.
    """
    from contextlib import closing

    from index.collection.collection import Collection
    from index.qdrant.address import QdrantAddress
    from index.qdrant.making import port_of
    from index.qdrant.pushing import push, stand_for
    from service.commands import terminal

    target = QdrantAddress.parse(address)
    with (
        closing(Collection.open(collection, trusted=trusted)) as opened,
        closing(port_of(target)) as port,
    ):
        with terminal.step_progress("pushing", quiet or as_json) as on_progress:
            report = push(opened, port, str(target), on_progress, shards, replicas)
        if alias is not None:
            stand_for(port, str(target), alias)
            report.alias = alias
    if as_json:
        terminal.print_json({"collection": str(collection), "to": str(target), **report.to_json()})
        return
    for line in report.sentences(str(target)):
        terminal.out.print(line, markup=False)
