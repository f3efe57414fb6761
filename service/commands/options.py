"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from index.opening import Place
    from lsr.trusted_code import TrustedCode


def _trusted(context: click.Context, option: click.Parameter, given: bool) -> TrustedCode:
    """The consent of this invocation: its switch, and what its environment lists."""
    from lsr.trusted_code import TrustedCode

    return TrustedCode.of_invocation(given)


class PlaceType(click.ParamType[Any]):
    """A collection: its directory, or where it is in Qdrant."""

    name = "place"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """What the text names; raises UsageError where it is a malformed address."""
        from index.opening import place_of

        return place_of(value)


class FolderType(click.ParamType[Any]):
    """A collection in a directory, where what is done is not done over Qdrant.

    ``instead`` goes on after what was given, and says what to do.
    """

    name = "path"

    def __init__(self, instead: str = "name the directory of a collection") -> None:
        self._instead = instead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; raises UsageError where it is an address of Qdrant."""
        from index.qdrant.address import is_address
        from lsr.errors import UsageError

        if is_address(str(value)):
            raise UsageError(f"{value} is in Qdrant, and this is of directories: {self._instead}")
        return Path(value)


PLACE = PlaceType()
FOLDER = FolderType()
encoder_option = click.option(
    "--encoder",
    metavar="NAME",
    help="bm25, a model that `lsr models` lists, a hub id or folder of a masked-language model, or "
    "FAMILY:MODEL with FAMILY splade, inference-free, pair or decoder; settings follow as "
    ",key=value.  [default: the model that ships with lsr]",
)
dense_option = click.option(
    "--dense",
    metavar="MODEL",
    help="Add a dense encoder: a hub id or folder, or two as MODEL+LAMBDA,weight=0.5.",
)
bm25_option = click.option("--bm25", is_flag=True, help="Add BM25 beside a learned encoder.")
passages_option = click.option(
    "--passages",
    type=click.Choice(["auto", "off"]),
    help="auto splits documents that the encoder doesn't read to the end into passages, and finds "
    "them by these; off leaves them whole.  [default: auto, or what the collection has]",
)
dense_weight_option = click.option(
    "--dense-weight",
    type=float,
    metavar="MU",
    help="What the second of the two models of a dense field MODEL+LAMBDA counts.  [default: the "
    "weight that it was indexed with]",
)
language_option = click.option(
    "--language",
    metavar="NAME",
    help="Make the words of BM25 and of the default encoder by the analyser of a language "
    "(german, french, ..., cjk), which docs/words.md lists; auto looks at the documents and says "
    "what it chose. For a new collection.",
)
using_option = click.option(
    "--using",
    metavar="FIELD",
    help="sparse, dense, bm25, hybrid (sparse+dense), or fields to fuse, as in sparse+bm25.",
)
engine_option = click.option(
    "--engine", default="native", show_default=True, help="native, reference, lucene or qdrant."
)
query_encoder_option = click.option(
    "--query-encoder",
    metavar="NAME",
    help="Encode queries to the sparse field with this instead; it must have the same vocabulary.",
)
rerank_option = click.option(
    "--rerank",
    metavar="MODEL",
    help="Score the best hits anew: by a cross-encoder (a hub id, folder, or name such as "
    "ms-marco-minilm-l6), a second encoder of the texts (sparse:NAME, dense:MODEL), or a field "
    "(field:bm25); ,depth=100 ,time_budget_ms=200 and ,weight=0.5 may follow.",
)
processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that encode, each with its share of the cores and the model in memory.",
)
host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
port_option = click.option(
    "--port", default=8000, show_default=True, help="Port to listen on; 0: any free one."
)
trust_option = click.option(
    "--trust-remote-code",
    "trusted",
    is_flag=True,
    callback=_trusted,
    help="Run the Python code that a model brings; LSR_TRUST_REMOTE_CODE=NAME,NAME in the "
    "environment trusts these models alone.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_READING = (
    click.option("--id-field", metavar="NAME", help="Take ids from this member or column."),
    click.option("--title-field", metavar="NAME", help="Take titles from this member or column."),
    click.option(
        "--text-field",
        metavar="NAMES",
        help="Take texts from this member or column, or from several, as in name,description.  "
        "[default for all three: the names that are usual]",
    ),
    click.option(
        "--columns",
        metavar="NAMES",
        help="The columns of .csv and .tsv files without a header, as in id,text,title.",
    ),
    click.option(
        "--include",
        metavar="PATTERN",
        multiple=True,
        help="Of a folder, read only what matches, as '*.html' or 'docs/'; may be repeated.",
    ),
    click.option(
        "--exclude",
        metavar="PATTERN",
        multiple=True,
        help="Of a folder, leave out what matches; may be repeated.",
    ),
)
_READ = ("id_field", "title_field", "text_field", "columns", "include", "exclude")


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how a corpus is read; the command takes them as ``reading``."""

    @wraps(command)
    def with_reading(**options: Any) -> Any:
        from lsr.corpus.readers.corpus import Reading

        own = {name: options.pop(name) for name in _READ}
        return command(reading=Reading.of(**own), **options)

    for option in reversed(_READING):
        with_reading = option(with_reading)
    return with_reading
