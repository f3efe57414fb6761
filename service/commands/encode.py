"""``lsr encode``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lsr.errors import UsageError
from service.commands.options import (
    encoder_option,
    json_option,
    processes_option,
    reading_options,
    trust_option,
)
from service.commands.output_path import check_folder, check_output
from service.commands.vector_output import (
    contents_option,
    encode_json,
    format_option,
    quantise_option,
    quiet_option,
    vector_file,
    vector_stream,
)

if TYPE_CHECKING:
    from lsr.corpus.items import Item
    from lsr.corpus.readers.corpus import Reading
    from lsr.corpus.shard import Shard
    from lsr.encoders.encoder import SparseEncoder
    from lsr.encoding.ray_cluster import RayCluster
    from lsr.encoding.runs import EncodeReport
    from lsr.trusted_code import TrustedCode
    from lsr.vectors.output import VectorOutput


@click.command("encode")
@click.argument("corpus")
@encoder_option
@click.option(
    "--out",
    required=True,
    help="The file to write; - for JSON lines on standard output. With --shard: the folder of all "
    "shards.",
)
@click.option(
    "--shard",
    "part",
    metavar="I/N",
    help="Encode the I-th of N parts of CORPUS into a folder of its own; lsr import and lsr merge "
    "take all N together.",
)
@click.option(
    "--on",
    "cluster",
    metavar="ADDRESS",
    help="Encode on a Ray cluster: ray://HOST:PORT (its head; this machine is part of it), "
    "ray://auto, or ray://local. --processes then counts those of all machines.  [default: one for "
    "each GPU, or else for each machine]",
)
@format_option
@quantise_option
@contents_option
@click.option("--queries", is_flag=True, help="CORPUS holds queries: .jsonl, .tsv or .txt.")
@reading_options
@processes_option
@trust_option
@quiet_option
@json_option
def encode_command(
    corpus: str,
    encoder: str | None,
    out: str,
    part: str | None,
    cluster: str | None,
    kind: str | None,
    scale: float | None,
    contents: bool,
    queries: bool,
    reading: Reading,
    processes: int,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the vectors of CORPUS, which is what lsr index takes, to a file.

    Run the same command again after an interruption: it goes on where it stopped. Items that can't
    be read are reported and skipped, and the exit code is then 1; of a shard it is 0 once the shard
    is there, and lsr import tells. bm25 writes term counts: they become weights with the
    statistics of the collection they are imported into.
    """
    from eval.datasets import named_corpus
    from lsr.corpus.shard import Shard
    from lsr.encoders.catalogue import load_encoder
    from lsr.encoders.packaged import DEFAULT_ENCODER
    from lsr.encoding.runs import encode_items
    from service.commands import terminal

    shard = None if part is None else Shard.parse(part)
    if shard is not None:
        _check_shard(out, kind, scale, contents, queries)
    if cluster is not None and (queries or corpus == "-"):
        given = "--queries" if queries else "standard input"
        raise UsageError(f"--on takes documents that can be read again; leave out {given}")
    machines = None if cluster is None else _cluster(cluster, corpus, reading)
    loaded = load_encoder(DEFAULT_ENCODER if encoder is None else encoder, trusted)
    items = _query_items(corpus, reading) if queries else named_corpus(corpus, reading)
    with terminal.indexing_progress(
        lambda: terminal.fraction_read(items), "encoding", quiet or as_json
    ) as progress:
        encode = partial(
            encode_items, loaded, items,
            queries=queries, progress=progress, processes=processes, trusted=trusted,
            cluster=machines,
        )  # fmt: skip
        if shard is not None:
            written = _encode_shard(encode, loaded, Path(out), shard)
        elif out == "-":
            if as_json:
                raise UsageError("--out - writes the vectors to standard output; leave out --json")
            written = _Written(encode(vector_stream(kind, loaded.vocabulary, scale, contents)), out)
        else:
            written = _encode_file(encode, loaded, Path(out), kind, scale, contents, queries)
    report, notes = written.report, written.notes
    if machines and machines.repeated:
        notes.append(f"chunks encoded again, as a machine was lost: {machines.repeated:,}")
    if passed_over := terminal.passed_over(items):
        notes.append(passed_over)
    if as_json:
        terminal.print_json(encode_json(report, written.target, notes) | written.shard)
    elif out != "-":
        terminal.print_encode_report(report, written.target, notes)
    elif passed_over:
        terminal.print_rejected(passed_over)
    sys.exit(1 if report.rejected and shard is None else 0)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a run did, where the vectors are, what is to be said of them, and of a shard."""

    report: EncodeReport
    target: str
    notes: list[str] = field(default_factory=list)
    shard: dict[str, Any] = field(default_factory=dict)


def _encode_file(
    encode: Callable[[VectorOutput], EncodeReport],
    encoder: SparseEncoder,
    out: Path,
    kind: str | None,
    scale: float | None,
    contents: bool,
    queries: bool,
) -> _Written:
    from lsr.vectors.csr import Maker

    settings = {"encoder": encoder.fingerprint, "queries": queries}
    maker = Maker(encoder.name, encoder.fingerprint)
    path = check_output(out, "--out", parents=True)
    output = vector_file(path, kind, encoder.vocabulary, maker, scale, contents, settings)
    report = encode(output)
    return _Written(report, str(out), output.finish())


def _encode_shard(
    encode: Callable[..., EncodeReport], encoder: SparseEncoder, out: Path, shard: Shard
) -> _Written:
    from lsr.vectors.csr import Maker
    from lsr.vectors.shard_folder import ShardOutput

    maker = Maker(encoder.name, encoder.fingerprint)
    folder = check_folder(out, "--out")
    with ShardOutput(folder, shard, encoder.vocabulary, maker) as output:
        report = encode(output, shard=shard)
        manifest = output.finish(report.taken, report.corpus)
    told = {"shard": str(shard), "documents": manifest.documents, "digest": manifest.digest}
    return _Written(report, str(output.path), shard=told)


def _cluster(address: str, corpus: str, reading: Reading) -> RayCluster:
    """The cluster that reads and encodes a corpus."""
    from eval.datasets import DEMO, named_corpus
    from lsr.corpus.files import user_path
    from lsr.encoding.ray_address import RayAddress
    from lsr.encoding.ray_cluster import RayCluster

    path = user_path(corpus)
    # Ray's processes have another working directory.
    absolute = str(path.absolute()) if path.exists() and corpus != DEMO else corpus
    context = click.get_current_context()
    given = context.get_parameter_source("processes") is not ParameterSource.DEFAULT
    actors = context.params["processes"] if given else None
    return RayCluster(RayAddress.parse(address), partial(named_corpus, absolute, reading), actors)


def _check_shard(
    out: str, kind: str | None, scale: float | None, contents: bool, queries: bool
) -> None:
    """Raise UsageError where a shard is asked for with what it can't have."""
    others = {
        "--out -": out == "-",
        "--format": kind is not None,
        "--quantise": scale is not None,
        "--no-contents": not contents,
        "--queries": queries,
    }
    if given := [name for name, is_given in others.items() if is_given]:
        raise UsageError(
            f"--shard writes documents with their exact vectors into a folder of shards; leave out "
            f"{', '.join(given)} (lsr merge has formats and --quantise)"
        )


def _query_items(source: str, reading: Reading) -> Iterable[Item]:
    from lsr.corpus.documents import Document
    from lsr.corpus.items import Item
    from lsr.corpus.queries import read_queries
    from lsr.corpus.readers.corpus import AS_USUAL

    if reading != AS_USUAL:
        raise UsageError("the fields of queries can't be named; leave out the options on them")
    return [Item(source, 0, Document(query.id, query.text)) for query in read_queries(source)]
