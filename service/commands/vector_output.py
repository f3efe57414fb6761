"""What commands that write vectors share: their options, and the file or stream."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import UsageError

if TYPE_CHECKING:
    from lsr.encoding.runs import EncodeReport
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


def vector_file(
    out: Path,
    kind: str | None,
    vocabulary: Vocabulary,
    maker: Maker,
    scale: float | None,
    contents: bool,
    settings: dict[str, Any],
) -> VectorOutput:
    """What writes a file of vectors, in a format or that of its name."""
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


def vector_stream(
    kind: str | None, vocabulary: Vocabulary, scale: float | None, contents: bool
) -> Any:
    """What writes lines of JSON to standard output."""
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


def encode_json(report: EncodeReport, out: str, notes: list[str]) -> dict[str, Any]:
    """The JSON of a run that wrote vectors."""
    names = ("encoded", "kept", "rejected", "weights", "tokens")
    counts = {name: getattr(report, name) for name in names}
    health = report.health and asdict(report.health)
    seconds = round(report.seconds, 3)
    return {"out": out, **counts, "health": health, "notes": notes, "seconds": seconds}
