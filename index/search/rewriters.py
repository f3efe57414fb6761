"""The rewriters there are, by the names that ask for them."""

from __future__ import annotations

from index.search.chat_rewriting import HypotheticalPassages, MoreQueries
from index.search.rewriting import Rewriter
from index.search.spelling import Spelling
from lsr.errors import UsageError
from lsr.settings import configure

REWRITERS: dict[str, type[Spelling] | type[MoreQueries] | type[HypotheticalPassages]] = {
    "spelling": Spelling,
    "queries": MoreQueries,
    "passage": HypotheticalPassages,
}


def rewriter_of(text: str) -> Rewriter:
    """The rewriter that a text such as ``spelling`` or ``queries,count=3`` asks for.

    Raises:
        UsageError: there is no such rewriter, or it has no such setting.
    """
    name, *settings = (part.strip() for part in text.split(","))
    if name not in REWRITERS:
        raise UsageError(f"the rewriter is {name!r}; allowed are {', '.join(REWRITERS)}")
    options: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"the rewriter's setting {setting!r} is no key=value, as in count=3")
        options[key.strip()] = value.strip()
    return configure(REWRITERS[name], options)
