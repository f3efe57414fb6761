"""Encoding on the machines of a Ray cluster: Ray Data, with actors that load the encoder once.

    one item -> _read (one task, beside the driver) -> _Encoder (actors) -> the driver

The reader goes through the corpus as the driver does and passes on the texts of one chunk after the
other; Ray Data holds it back while the actors are busy. A chunk is a block, and encoded as a whole,
so that its vectors are those of one process. They come back in the order of the corpus. When a
machine is lost, Ray starts its actor elsewhere and gives it what had not come back.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from lsr.corpus.chunks import CHUNK, distinct_chunks
from lsr.corpus.items import Item
from lsr.corpus.shard import WHOLE, Shard
from lsr.encoding.chunk_tables import chunk_table, packed, texts_digest, unpacked
from lsr.encoding.document_encoders import NOTHING, DocumentEncoders, Encoded
from lsr.encoding.ray_address import RayAddress
from lsr.errors import LsrError, MissingDependencyError, UsageError
from lsr.threads import available_cores, limit_threads

ContextT = TypeVar("ContextT")
Load = Callable[[], Callable[[Sequence[str]], Encoded]]
# A chunk that was begun more often is taken to be what ends the processes.
MOST_TRIES = 5
LOCAL_STORE = 512 << 20
LOOKED_EVERY_S = 5.0
ENDED = (
    f"a chunk of the corpus was begun {MOST_TRIES} times, and the process that encoded it ended "
    "each time, for which a lack of memory is a common cause"
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rest:
    """What of a corpus is to be encoded: the shard's chunks behind the first ``done`` items."""

    shard: Shard = WHOLE
    done: int = 0
    chunk_size: int = CHUNK


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many actors there are, threads of each, and what each takes of the cluster."""

    actors: int
    threads: int
    takes: dict[str, float]


class RayCluster:
    """Encodes chunks of a corpus on the machines of a cluster.

    ``begun`` has, after a run, each time that a chunk was begun: its number, of those that have
    texts, and the id of the machine.

    Args:
        address: of the cluster.
        corpus: opens the corpus, on this machine, in a process of its own.
        actors: how many processes encode; None: one for each GPU, or else for each machine.

    Raises:
        MissingDependencyError: Ray is not installed.
    """

    def __init__(
        self,
        address: RayAddress,
        corpus: Callable[[], Iterable[Item]],
        actors: int | None = None,
    ) -> None:
        self.begun: list[tuple[int, str]] = []
        self._address = address
        self._corpus = corpus
        self._actors = actors
        # Before Ray is imported: nothing is told to its makers, and no other machine sees a
        # cluster of this one (Ray has that for the systems on which firewalls ask about it).
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        if address.local:
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        _ray()

    @property
    def repeated(self) -> int:
        """How many times a chunk was begun again, as a machine was lost and its vectors with it."""
        return len(self.begun) - len({number for number, _ in self.begun})

    def stream(
        self,
        encoders: DocumentEncoders,
        chunks: Iterable[tuple[ContextT, Sequence[str]]],
        rest: Rest,
    ) -> Generator[tuple[ContextT, Encoded], None, None]:
        """Each chunk's context and vectors, as ``DocumentEncoders.stream`` gives them.

        Args:
            encoders: what encodes; each actor has its own.
            chunks: the texts of the chunks of ``rest``, with what is to be said of each.
            rest: which chunks these are.

        Raises:
            UnavailableError: there is no such cluster, or this machine is no part of it.
            LsrError: an actor failed, or the corpus changed while it was read.
        """
        with self._connected() as ray:
            yield from self._encoded(ray, encoders.loader(), chunks, rest)

    def _encoded(
        self,
        ray: Any,
        load: Load,
        chunks: Iterable[tuple[ContextT, Sequence[str]]],
        rest: Rest,
    ) -> Generator[tuple[ContextT, Encoded], None, None]:
        # Beside the driver: what must outlive other machines, and what reads this machine's files.
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        tally = ray.remote(num_cpus=0)(_Tally).options(label_selector=here).remote()
        plan = _plan(ray, self._actors)
        with _settings(), _watched(ray):
            found = iter(_results(ray, self._corpus, load, rest, plan, here, tally))
            for context, texts in chunks:
                if not texts:
                    yield context, NOTHING
                    continue
                try:
                    result = next(found, None)
                except ray.exceptions.RayError as error:
                    raise _failed(error) from error
                yield context, _checked(result, texts)
            self.begun = ray.get(tally.all.remote())

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        ray = _ray()
        if ray.is_initialized():
            yield ray
            return
        self._address.check()
        own: dict[str, Any] = {"address": self._address.text}
        if self._address.local:
            own |= {"num_cpus": available_cores(), "object_store_memory": LOCAL_STORE}
            own |= {"include_dashboard": False}
        try:
            ray.init(**own, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise self._address.unavailable(_first_line(error)) from error
        try:
            yield ray
        finally:
            ray.shutdown()


class _Tally:
    """An actor: notes each time that a chunk is begun, and on which machine."""

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._begun: list[tuple[int, str]] = []

    def begin(self, number: int, machine: str) -> int:
        self._begun.append((number, machine))
        self._times[number] += 1
        return self._times[number]

    def all(self) -> list[tuple[int, str]]:
        return self._begun


def _read(corpus: Callable[[], Iterable[Item]], rest: Rest, _: object) -> Iterator[Any]:
    """A table of one row for each chunk that has texts."""
    try:
        for number, texts in enumerate(_left(corpus(), rest)):
            yield chunk_table(number, json.dumps(texts).encode())
    except Exception as error:
        yield chunk_table(-1, b"", _told(error, "the corpus can't be read on the cluster"))


def _left(items: Iterable[Item], rest: Rest) -> Iterator[list[str]]:
    """The texts of each chunk that is to be encoded and has some."""
    taken = 0
    for number, chunk in enumerate(distinct_chunks(items, lambda told: None, rest.chunk_size)):
        before, taken = taken, taken + len(chunk.items) + chunk.rejected
        if before >= rest.done and rest.shard.has(number) and chunk.items:
            yield [document.contents for document in chunk.documents]


class _Encoder:
    """An actor: loads the encoders with its first chunk, and keeps them."""

    def __init__(self, load: Load, threads: int, tally: Any) -> None:
        limit_threads(threads)
        self._load = load
        self._tally = tally
        self._encode: Callable[[Sequence[str]], Encoded] | None = None

    def __call__(self, table: Any) -> Any:
        import ray

        number, data, error = (table[name][0].as_py() for name in ("chunk", "data", "error"))
        if error:
            return table
        try:
            machine = ray.get_runtime_context().get_node_id()
            if ray.get(self._tally.begin.remote(number, machine)) > MOST_TRIES:
                raise LsrError(ENDED)
            self._encode = self._encode or self._load()
            return chunk_table(number, packed(self._encode(json.loads(data)), data))
        except Exception as raised:
            return chunk_table(number, b"", _told(raised, "an encoding process failed"))


def _results(
    ray: Any,
    corpus: Callable[[], Iterable[Item]],
    load: Load,
    rest: Rest,
    plan: _Plan,
    here: dict[str, str],
    tally: Any,
) -> Iterator[Any]:
    """A table for each chunk that has texts, in their order."""
    source = ray.data.from_items([0]).map_batches(
        partial(_read, corpus, rest),
        batch_format="pyarrow",
        num_cpus=0,
        label_selector=here,
    )
    encoded = source.map_batches(
        _Encoder,
        fn_constructor_args=(load, plan.threads, tally),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=plan.actors),
        **plan.takes,
    )
    yield from encoded.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=1)


def _plan(ray: Any, actors: int | None) -> _Plan:
    """One actor for each GPU, or else for each machine, where no number is asked for.

    An actor takes half of the cores that it computes with: when a machine is lost, its actor finds
    room on another one.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(machine.get("GPU", 0) for machine in machines))
    cores = [int(machine["CPU"]) for machine in machines if machine.get("CPU", 0) >= 1] or [1]
    if gpus:
        return _Plan(actors or gpus, max(1, sum(cores) // gpus), {"num_gpus": 1, "num_cpus": 0.5})
    actors = actors or len(cores)
    threads = max(1, min(cores) // -(-actors // len(cores)))
    return _Plan(actors, threads, {"num_cpus": threads / 2})


@contextmanager
def _settings() -> Iterator[None]:
    """Ray Data quiet and in order, a block for each chunk."""
    from ray.data import DataContext

    wanted: dict[str, Any] = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "target_max_block_size": 1,
        "target_min_block_size": 1,
    }
    context = DataContext.get_current()
    before = {name: getattr(context, name) for name in wanted}
    in_order = context.execution_options.preserve_order
    logger = logging.getLogger("ray.data")
    level = logger.level
    for name, value in wanted.items():
        setattr(context, name, value)
    context.execution_options.preserve_order = True
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        context.execution_options.preserve_order = in_order
        for name, value in before.items():
            setattr(context, name, value)


@contextmanager
def _watched(ray: Any) -> Iterator[None]:
    """Warns, meanwhile, when a machine of the cluster is lost."""
    ended = threading.Event()

    def alive() -> int:
        return sum(bool(node["Alive"]) for node in ray.nodes())

    def watch() -> None:
        machines = 0
        while not ended.wait(LOOKED_EVERY_S):
            try:
                now = alive()
            except ray.exceptions.RayError:
                # What waits for results is told of it.
                return
            if now < machines:
                log.warning(
                    "the cluster has %d machines, and had %d: what was encoded on those that are "
                    "lost is encoded again, as soon as their processes find room elsewhere",
                    now,
                    machines,
                )
            machines = now

    thread = threading.Thread(target=watch, name="lsr-ray-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _checked(table: Any, texts: Sequence[str]) -> Encoded:
    """The vectors of a chunk, once it is sure that they are of these texts."""
    error = None if table is None else table["error"][0].as_py()
    if error:
        raise LsrError(f"{error}; what was finished before is kept, so run the same again")
    if table is not None:
        encoded, digest = unpacked(table["data"][0].as_py())
        if digest == texts_digest(json.dumps(list(texts)).encode()):
            return encoded
    raise UsageError(
        "the corpus changed while it was read; leave its files as they are, and run the same again"
    )


def _told(error: Exception, what: str) -> str:
    if isinstance(error, LsrError):
        return str(error)
    return f"{what} ({type(error).__name__}: {_first_line(error)})"


def _failed(error: Exception) -> LsrError:
    return LsrError(
        f"the cluster ended the work ({type(error).__name__}: {_first_line(error)}), for which a "
        "lack of memory is a common cause; what was finished before is kept, so run the same again"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingDependencyError("--on ray://", "ray", "ray") from None
    return ray
