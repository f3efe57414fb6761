"""The commands that move vectors between files and collections: encode, import, export.

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import UsageError
from service.commands.options import (
    PLACE,
    bm25_option,
    dense_option,
    encoder_option,
    json_option,
    processes_option,
    reading_options,
    trust_option,
)
from service.commands.output_path import check_output, output_file_or_folders

if TYPE_CHECKING:
    from index.opening import Place
    from lsr.corpus.items import Item
    from lsr.corpus.readers.corpus import Reading
    from lsr.encoding.runs import EncodeReport
    from lsr.trusted_code import TrustedCode
    from lsr.vectors.csr import Maker
    from lsr.vectors.formats import VectorWriter
    from lsr.vectors.output import VectorOutput
    from lsr.vectors.working_files import WorkingFiles
    from lsr.vocabulary import Vocabulary

FORMAT_NAMES = "jsonl, seismic, csr or ciff"
format_option = click.option(
    "--format",
    "kind",
    metavar="NAME",
    help=f"{FORMAT_NAMES}.  [default: by the name of the file: .jsonl, .safetensors or .ciff]",
)
quantise_option = click.option(
    "--quantise",
    "scale",
    type=float,
    metavar="N",
    help="Write round(weight * N), as Anserini needs it (100 is usual).  [default: weights as they "
    "are; CIFF, which holds integers only: 100, or 1 where all are integers]",
)
contents_option = click.option(
    "--contents/--no-contents", default=True, help="Write the texts, where the format has them."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")


@click.command("encode")
@click.argument("corpus")
@encoder_option
@click.option(
    "--out", required=True, help="The file to write; - for JSON lines on standard output."
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
    be read are reported and skipped, and the exit code is then 1. bm25 writes term counts: they
    become weights with the statistics of the collection they are imported into.
    """
    from eval.datasets import named_corpus
    from lsr.encoders.catalogue import load_encoder
    from lsr.encoders.packaged import DEFAULT_ENCODER
    from lsr.encoding.runs import encode_items
    from lsr.vectors.csr import Maker
    from lsr.vectors.output import StreamOutput
    from service.commands import terminal

    loaded = load_encoder(DEFAULT_ENCODER if encoder is None else encoder, trusted)
    items = _query_items(corpus, reading) if queries else named_corpus(corpus, reading)
    settings = {"encoder": loaded.fingerprint, "queries": queries}
    output: VectorOutput | StreamOutput
    if out == "-":
        if as_json:
            raise UsageError("--out - writes the vectors to standard output; leave out --json")
        output = _stream(kind, loaded.vocabulary, scale, contents)
    else:
        maker = Maker(loaded.name, loaded.fingerprint)
        path = check_output(Path(out), "--out", parents=True)
        output = _file(path, kind, loaded.vocabulary, maker, scale, contents, settings)
    with terminal.indexing_progress(
        lambda: terminal.fraction_read(items), "encoding", quiet or as_json
    ) as progress:
        report = encode_items(
            loaded, items, output, queries, progress, processes=processes, trusted=trusted
        )
    notes = [] if isinstance(output, StreamOutput) else output.finish()
    if passed_over := terminal.passed_over(items):
        notes.append(passed_over)
    if as_json:
        terminal.print_json(_encode_json(report, out, notes))
    elif out != "-":
        terminal.print_encode_report(report, out, notes)
    elif passed_over:
        terminal.print_rejected(passed_over)
    sys.exit(1 if report.rejected else 0)


@click.command("import")
@click.argument("vectors")
@click.option("--into", type=PLACE, required=True, help="The collection.")
@click.option(
    "--encoder",
    metavar="NAME",
    help="What encodes queries, and whose vocabulary the vectors are over.  [default: none; "
    "queries are given as tokens with weights]",
)
@click.option(
    "--documents", metavar="CORPUS", help="Take title, text and metadata from here, by id."
)
@reading_options
@dense_option
@bm25_option
@trust_option
@quiet_option
@json_option
def import_command(
    vectors: str,
    into: Place,
    encoder: str | None,
    documents: str | None,
    reading: Reading,
    dense: str | None,
    bm25: bool,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build a collection from VECTORS that were encoded elsewhere: JSON lines as of Anserini or
    Seismic (.jsonl, .gz too, a folder of them, or - for standard input), our .safetensors, or CIFF.

    Run the same command again after an interruption: documents that have not changed are left as
    they are. Items that can't be read are reported and skipped, and the exit code is then 1.
    """
    from eval.datasets import named_corpus
    from index.importing import import_vectors, open_for_import
    from index.opening import gone_if_unused, is_there, remove_unused
    from lsr.corpus.readers.corpus import AS_USUAL
    from lsr.vectors.formats import open_vectors
    from service.commands import terminal

    source = open_vectors(vectors)
    if documents is None and reading != AS_USUAL:
        raise UsageError("the options on fields and files are for the corpus of --documents")
    texts = None if documents is None else named_corpus(documents, reading)
    new, made = not is_there(into), isinstance(into, Path) and not into.exists()
    with gone_if_unused(into):
        collection = open_for_import(into, source, encoder, dense, bm25, trusted)
        with terminal.indexing_progress(
            lambda: source.fraction, "importing", quiet or as_json
        ) as progress:
            report = import_vectors(collection, source, texts, progress)
    if as_json:
        names = ("created", "updated", "unchanged", "rejected")
        counts: dict[str, Any] = {name: getattr(report.index, name) for name in names}
        others = ("without_text", "cut", "zero", "new_tokens")
        counts |= {name: getattr(report, name) for name in others}
        terminal.print_json(
            {"collection": str(into), "documents": len(collection), **counts,
             "seconds": round(report.index.seconds, 3), **report.index.passed_over.as_json()}
        )  # fmt: skip
    else:
        terminal.print_import_report(report, len(collection), str(into))
    empty = not len(collection)
    collection.close()
    if new and empty and report.index.rejected:
        terminal.print_rejected(f"no vector could be read, so there is no collection at {into}")
        remove_unused(into, made)
    sys.exit(1 if progress.sentences else 0)


@click.command("export")
@click.argument("collection", type=PLACE)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=output_file_or_folders,
    required=True,
    help="The file to write.",
)
@click.option("--field", metavar="NAME", help="A sparse field.  [default: the first]")
@format_option
@quantise_option
@contents_option
@trust_option
@quiet_option
@json_option
def export_command(
    collection: Place,
    out: Path,
    field: str | None,
    kind: str | None,
    scale: float | None,
    contents: bool,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the vectors that COLLECTION stores to a file, as lsr encode does."""
    from index.importing import stored_vectors
    from index.opening import open_collection
    from lsr.encoding.runs import EncodeReport
    from lsr.vectors.csr import Maker
    from service.commands import terminal

    opened = open_collection(collection, trusted)
    chosen = opened.fields.named(field) if field else opened.fields[0]
    if chosen.kind != "sparse":
        raise UsageError(f"the field {chosen.name!r} is dense; only sparse vectors can be exported")
    encoder = opened.fields.encoder(chosen)
    settings = {"encoder": encoder.fingerprint, "revision": opened.store.revision()}
    maker = Maker(encoder.name, encoder.fingerprint)
    vocabulary = opened.fields.vocabulary(chosen)
    output = _file(out, kind, vocabulary, maker, scale, contents, settings)
    report, total = EncodeReport(), len(opened)
    with terminal.indexing_progress(
        lambda: report.read / max(total, 1), "exporting", quiet or as_json
    ) as progress:
        for documents, batch in stored_vectors(opened, chosen):
            report.taken += len(documents)
            if report.read < output.items:
                report.kept += len(documents)
            else:
                report.encoded += len(documents)
                report.weights += batch.nnz
                output.append(documents, batch, report.read, "")
            progress.chunk(report)
    notes = output.finish()
    if as_json:
        terminal.print_json(_encode_json(report, str(out), notes))
    else:
        terminal.print_encode_report(report, str(out), notes)
    opened.close()


def _file(
    out: Path,
    kind: str | None,
    vocabulary: Vocabulary,
    maker: Maker,
    scale: float | None,
    contents: bool,
    settings: dict[str, Any],
) -> VectorOutput:
    from lsr.vectors.formats import format_of, is_zipped, vector_writer
    from lsr.vectors.output import VectorOutput
    from lsr.vectors.quantisation import check_scale

    chosen = kind or format_of(out)
    if scale is not None:
        check_scale(scale)

    def writer(files: WorkingFiles) -> VectorWriter:
        zipped = is_zipped(out)
        return vector_writer(chosen, files, vocabulary, maker, scale, contents, zipped)

    settings = settings | {"format": chosen, "quantise": scale, "contents": contents}
    return VectorOutput(out, settings, writer)


def _stream(kind: str | None, vocabulary: Vocabulary, scale: float | None, contents: bool) -> Any:
    from lsr.vectors.formats import TEXT_KEYS
    from lsr.vectors.json_lines import json_lines
    from lsr.vectors.output import StreamOutput
    from lsr.vectors.quantisation import check_scale

    if (kind or "jsonl") not in TEXT_KEYS:
        raise UsageError(
            f"the format {kind!r} can't be written to standard output; allowed are "
            f"{' and '.join(TEXT_KEYS)}, or give a file"
        )
    key = TEXT_KEYS[kind or "jsonl"] if contents else None
    if scale is not None:
        check_scale(scale)

    def write(documents: Any, batch: Any) -> None:
        sys.stdout.buffer.write(json_lines(documents, batch, vocabulary, key, scale))

    return StreamOutput(write)


def _query_items(source: str, reading: Reading) -> Iterable[Item]:
    from lsr.corpus.documents import Document
    from lsr.corpus.items import Item
    from lsr.corpus.queries import read_queries
    from lsr.corpus.readers.corpus import AS_USUAL

    if reading != AS_USUAL:
        raise UsageError("the fields of queries can't be named; leave out the options on them")
    return [Item(source, 0, Document(query.id, query.text)) for query in read_queries(source)]


def _encode_json(report: EncodeReport, out: str, notes: list[str]) -> dict[str, Any]:
    names = ("encoded", "kept", "rejected", "weights", "tokens")
    counts = {name: getattr(report, name) for name in names}
    health = report.health and asdict(report.health)
    seconds = round(report.seconds, 3)
    return {"out": out, **counts, "health": health, "notes": notes, "seconds": seconds}
