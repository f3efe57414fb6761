"""The encoders that requests may name for new indexes: what is packaged, and what was allowed."""

from __future__ import annotations

from collections.abc import Sequence

from lsr.encoders.bm25 import Bm25Config
from lsr.encoders.encoder import short_name
from lsr.encoders.open_vocabulary import OpenVocabularyConfig
from lsr.encoders.packaged import PACKAGED as PACKAGED_MODELS
from lsr.errors import InputError, UsageError
from service.api.rerankers import with_whole_path

LONGEST_SHOWN = 100
# Their options, none of which names a file.
PACKAGED = {
    **{key: {"words", *OpenVocabularyConfig.__dataclass_fields__} for key in PACKAGED_MODELS},
    "bm25": set(Bm25Config.__dataclass_fields__),
}


class AllowedEncoders:
    """Encoders by the name that requests have for them: their own, without a folder's path.

    No request makes the server load another model, for that may be any file or fetch one.

    Args:
        names: of sparse and dense encoders, as ``lsr index`` takes them.

    Raises:
        UsageError: two have one name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names: dict[str, str] = {}
        for name in dict.fromkeys(map(with_whole_path, names)):
            short = short_name(name)
            if short in self._names or short in PACKAGED:
                raise UsageError(
                    f"two encoders are called {short!r}; their folders must differ in name, for "
                    "the name is what requests give"
                )
            self._names[short] = name

    def named(self, asked: str) -> str:
        """The whole name of an encoder that a request names.

        Raises:
            InputError: requests may not name it.
        """
        if asked in self._names:
            return self._names[asked]
        head, *options = asked.split(",")
        known = PACKAGED.get(head)
        if known is None:
            allowed = ", ".join([*PACKAGED, *self._names])
            raise InputError(
                f"this server makes no index with an encoder {asked[:LONGEST_SHOWN]!r}; allowed "
                f"are {allowed} (its owner adds models by the setting encoders)"
            )
        for option in options:
            if option.partition("=")[0] not in known:
                raise InputError(
                    f"the encoder {head} has no option {option[:LONGEST_SHOWN]!r} here; allowed "
                    f"are {', '.join(sorted(known))}"
                )
        return asked
