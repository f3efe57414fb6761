"""Where the time of our step goes: its parts one after the other, and the machine's limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from encode_bench.parts import TILE, Peaks, operations_per_second
from encode_bench.subjects import Place

from train_bench.task import STRENGTH, Task

NAMES = ("tokenise", "body", "head", "loss", "head_back", "body_back", "optimizer")
COLUMNS = {
    "part": "part of our step",
    "ms": "ms",
    "share": "share",
    "gflop": "GFLOP",
    "limit_ms": "limit, ms",
    "of_limit": "x limit",
}


@dataclass(frozen=True)
class Parts:
    """``seconds`` of each part of a step, and the floating-point ``operations`` of some.

    Operations are those of dense matrix products, 2 a multiply-add: of the body over real tokens
    (three times forward for both directions together), and of the whole projection forward. Its
    backward pass touches the entries that stayed positive, which are not counted.
    """

    seconds: dict[str, float]
    operations: dict[str, float]


class Anatomy:
    """A step of documents, taken apart; all on one thread, the machine's peak too."""

    def __init__(self, place: Place, task: Task) -> None:
        place.settle()
        import torch

        torch.set_num_threads(1)
        from lsr.backbones.checkpoint import Checkpoint
        from lsr.encoders.term_counts import count_terms, term_statistics
        from lsr.train.optimization import adamw
        from lsr.train.student import MaskedLanguageStudent
        from lsr.train.term_table import TermTable

        self._student = MaskedLanguageStudent(Checkpoint.resolve(task.base))
        vocabulary = self._student.vocabulary
        self._batcher = self._student.batcher("document", task.max_length, 0)
        pairs = task.pairs[: task.batch]
        self._documents = [document for _, document in pairs]
        queries = [query for query, _ in pairs]
        table = term_statistics(vocabulary, self._documents).idf
        encode = TermTable(count_terms(vocabulary, queries), table, False, self._student.device)
        self._queries = encode(np.arange(len(queries)))
        config = task.config.optimizer
        self._max_norm = config.max_norm
        self._optimizer = adamw(
            self._student.parameters().values(), config.learning_rate, config.weight_decay
        )

    def turn(self) -> tuple[Parts, Peaks]:
        """Time a step's parts, and the machine's peak beside them."""
        weight, _ = self._student.projection()
        width = weight.shape[1]
        shapes = [(1024, 1024, 1024), (TILE[0], width, TILE[1])]
        peak = max(operations_per_second(*shape, np.float32) for shape in shapes)
        return self._step(), Peaks(peak, None)

    def _step(self) -> Parts:
        import torch

        from lsr.backbones.batching import TokenBatch
        from lsr.backbones.projection import VocabularyProjection
        from lsr.train.losses import info_nce, match
        from lsr.train.max_pooling import PooledMaxima
        from lsr.train.optimization import update
        from lsr.train.regularizers import flops, saturate

        student, clock = self._student, dict.fromkeys(NAMES, 0.0)

        def tokenise() -> list[TokenBatch]:
            return self._batcher.split(*self._batcher.tokenize(self._documents), 1)

        [batch] = _timed(clock, "tokenise", tokenise)
        states, offsets = _timed(clock, "body", lambda: student.states(batch))
        cut = states.detach().requires_grad_()
        weight, bias = student.projection()
        terms = student.vocabulary.size

        def head() -> torch.Tensor:
            projection = VocabularyProjection(weight, bias, terms)
            maxima = PooledMaxima(cut, weight, bias, offsets, projection)
            empty = cut.new_zeros(len(batch.rows), terms)
            return empty.index_put((maxima.rows, maxima.terms), saturate(maxima.values, 1))

        documents = _timed(clock, "head", head)
        leaf = documents.detach().requires_grad_()
        positives = torch.from_numpy(np.argsort(batch.rows))

        def loss() -> None:
            ranking = info_nce(match(self._queries, leaf), positives)
            (ranking + STRENGTH * flops(leaf)).backward()

        _timed(clock, "loss", loss)
        _timed(clock, "head_back", lambda: documents.backward(leaf.grad))
        _timed(clock, "body_back", lambda: states.backward(cut.grad))
        _timed(clock, "optimizer", lambda: update(self._optimizer, 1.0, self._max_norm))
        tokens = int(batch.mask.sum())
        body = 2.0 * tokens * _body_weights(student.model, weight)
        operations = {
            "body": body,
            "head": 2.0 * tokens * terms * weight.shape[1],
            "body_back": 2 * body,
        }
        return Parts(clock, operations)


def rows(turns: Sequence[Parts], peak: Peaks) -> Iterator[dict[str, Any]]:
    """A row for each part, medians over the turns, then one for the whole step."""
    medians = {name: float(np.median([turn.seconds[name] for turn in turns])) for name in NAMES}
    operations, total = turns[0].operations, sum(medians.values())
    for name, seconds in [*medians.items(), ("step", total)]:
        count = sum(operations.values()) if name == "step" else operations.get(name)
        row: dict[str, Any] = {
            "part": name,
            "ms": round(1000 * seconds, 1),
            "share": round(seconds / total, 3),
        }
        if count is None:
            yield row | dict.fromkeys(("gflop", "limit_ms", "of_limit"))
        else:
            limit = count / peak.float32
            yield row | {
                "gflop": round(count / 1e9, 2),
                "limit_ms": round(1000 * limit, 1),
                "of_limit": round(seconds / limit, 2),
            }


def _timed(clock: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    found = call()
    clock[name] += time.perf_counter() - started
    return found


def _body_weights(model: Any, projection: Any) -> int:
    """Entries of the matrices that each token is multiplied with before the projection."""
    import torch

    return sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.weight is not projection
    )
