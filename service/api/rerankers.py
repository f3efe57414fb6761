"""The models that requests may re-rank by: those that the server was started with."""

from __future__ import annotations

from collections.abc import Sequence

from index.search.rerank import loaded_reranker
from index.search.reranking import FIELD
from lsr.backbones.checkpoint import is_folder
from lsr.corpus.files import user_path
from lsr.encoders.encoder import short_name, split_name
from lsr.errors import InputError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode

LONGEST_SHOWN = 100


class ServedRerankers:
    """Re-rankers by the name that requests have for them: their own, without a folder's path.

    No request makes the server load a model: which ones there are is its owner's to say.

    Args:
        names: as ``load_reranker`` takes them.
        trusted: the models whose Python code may run.

    Raises:
        InputError, NotFoundError: a model can't be used, or there is no such model.
        UsageError: two have one name.
    """

    def __init__(self, names: Sequence[str] = (), trusted: TrustedCode = NO_CODE) -> None:
        self._names: dict[str, str] = {}
        for name in dict.fromkeys(map(with_whole_path, names)):
            short = short_name(name)
            if short in self._names:
                raise UsageError(
                    f"two re-rankers are called {short!r}: {self._names[short]} and {name}; their "
                    "folders must differ in name, for the name is what requests give"
                )
            loaded_reranker(name, trusted)
            self._names[short] = name

    def named(self, asked: str) -> str:
        """The whole name of a re-ranker that a request names, or of a collection's field.

        Raises:
            InputError: the server wasn't started with it.
        """
        if asked.startswith(FIELD):
            return asked
        if asked not in self._names:
            shown = asked if len(asked) <= LONGEST_SHOWN else f"{asked[:LONGEST_SHOWN]}..."
            known = [*self._names, f"{FIELD}NAME with a field of the collection"]
            raise InputError(
                f"this server re-ranks by no model {shown!r}; allowed are {', '.join(known)} (its "
                "owner adds models with: lsr serve --reranker MODEL)"
            )
        return self._names[asked]


def with_whole_path(name: str) -> str:
    """The name with its folder's whole path, where it is a folder's: its end is then known."""
    head, *options = split_name(name)
    family, colon, model = head.rpartition(":")
    for before, path in (("", head), (family + colon, model)):
        if path and is_folder(user_path(path)):
            return ",".join([before + str(user_path(path).resolve()), *options])
    return name
