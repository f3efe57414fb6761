"""The language that ``--language`` asks for, told from the documents where it is ``auto``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index.opening import Place
    from lsr.corpus.items import Item

AUTO = "auto"


def chosen_language(
    asked: str | None, into: Place | None, sample: Callable[[int], Iterable[Item]]
) -> str | None:
    """The name of an analyser, None where nothing is asked for.

    ``auto`` looks at a ``sample`` of so many items, and one line on standard error says what it
    chose. A collection that is there keeps what it has.
    """
    from index.opening import is_there
    from lsr.encoding.language import CHECKED, language_of_corpus
    from service.commands import terminal

    if asked != AUTO:
        return asked
    if into is not None and is_there(into):
        return None
    documents = [item.document for item in sample(CHECKED)]
    found = language_of_corpus([each.contents for each in documents if each is not None])
    terminal.err.print(found.sentence, markup=False)
    return found.analyzer
