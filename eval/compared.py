"""Systems to compare: rankings and scores of queries, of runs, of files of results, of encoders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from eval.cell import RESULTS, Cell, read_results
from eval.datasets import Dataset
from eval.experiment import ExperimentProgress, evaluate_dataset
from eval.kept_indexes import experiment_folder
from eval.measures import measure_queries
from eval.names import distinct_names
from eval.run import Run, read_run, without_self
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.explanation import Explanation, explain_document
from index.search.query import SearchQuery
from lsr.corpus.qrels import Qrels
from lsr.errors import NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode

Explain = Callable[[str, str], Explanation]
"""From the text of a query and the id of a document to why it stands where it does."""
# Names of files; what ends otherwise and isn't there is taken for the name of an encoder.
FILES = (".json", ".run", ".trec", ".txt", ".tsv", ".res", ".gz")


@dataclass(frozen=True)
class Judgements:
    """What systems are compared on: ``name`` of the data set, texts of queries, and judgements."""

    name: str
    qrels: Qrels = field(repr=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Whether a query's own id does not count.
    drops_self: bool = False


@dataclass(frozen=True)
class System:
    """One system on one data set: the measure of each query, and rankings where there are any."""

    name: str
    dataset: str
    scores: Mapping[str, float] = field(repr=False)
    run: Run = field(default_factory=dict, repr=False)
    explain: Explain | None = field(default=None, repr=False)


def is_file_of_results(argument: str) -> bool:
    """Whether an argument means a file or a folder of results, and not an encoder.

    Raises:
        NotFoundError: it is named as a file, and isn't there.
    """
    path = Path(argument).expanduser()
    if path.is_file() or (path / RESULTS).is_file():
        return True
    if not path.exists() and argument.lower().endswith(FILES):
        raise NotFoundError(
            f"there is no file {argument!r}; give a TREC run, a results.json or a folder of lsr "
            "eval --output, or the name of an encoder"
        )
    return False


def systems_in(argument: str, judged: Judgements | None, measure: str) -> list[System]:
    """The systems of a TREC run, or of results that ``lsr eval`` wrote.

    Args:
        argument: the path of a file, or of a folder with results.
        judged: what runs are measured on; of results, only those of its data set count.
        measure: such as ``nDCG@10``.

    Raises:
        UsageError: a run has no judgements, or results lack the measure or the data set.
        InputError: the file is malformed.
    """
    path = Path(argument).expanduser()
    if path.is_file() and not _is_json(path):
        if judged is None:
            raise UsageError(
                f"{argument} is a run, which has no judgements; give --dataset or --qrels with it"
            )
        return [_measured(System(argument, judged.name, {}, read_run(path)), judged, measure)]
    cells = read_results(path)
    if judged is not None:
        names = {cell.dataset for cell in cells}
        cells = [cell for cell in cells if cell.dataset == judged.name]
        if not cells:
            raise UsageError(
                f"{argument} has no result of the data set {judged.name!r}; it has "
                f"{', '.join(sorted(names)) or 'none'}"
            )
    return [
        _of_cell(cell, label, judged, measure, argument)
        for cell, label in zip(cells, distinct_labels(cells), strict=True)
    ]


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _of_cell(
    cell: Cell, label: str, judged: Judgements | None, measure: str, argument: str
) -> System:
    system = System(label, cell.dataset, cell.per_query.get(measure, {}), cell.run)
    if system.scores:
        return system
    if judged is not None and cell.run:
        return _measured(system, judged, measure)
    raise UsageError(
        f"{argument} has no {measure} of each query of {cell.dataset}; it has "
        f"{', '.join(cell.per_query) or 'none'}: choose --measure, or give the folder of lsr eval "
        "--output and --dataset"
    )


def _measured(system: System, judged: Judgements, measure: str) -> System:
    run = without_self(system.run) if judged.drops_self else system.run
    return replace(system, run=run, scores=measure_queries(judged.qrels, run, measure))


def system_label(cell: Cell) -> str:
    """What a row of results is called: its encoder, and what was searched where that says more."""
    return cell.encoder if cell.using in ("", "sparse") else f"{cell.encoder} ({cell.using})"


def distinct_labels(cells: Sequence[Cell]) -> list[str]:
    """What rows of results are called, no two of a data set alike, and alike on all data sets."""
    seen: Counter[tuple[str, str, str]] = Counter()
    keys = []
    groups: dict[str, list[tuple[str, str, int]]] = {}
    for cell in cells:
        label = system_label(cell)
        seen[cell.dataset, label, cell.engine] += 1
        keys.append((label, cell.engine, seen[cell.dataset, label, cell.engine]))
        groups.setdefault(cell.dataset, []).append(keys[-1])
    names = distinct_names(groups.values(), _longer_label)
    return [names[key] for key in keys]


def _longer_label(key: tuple[str, str, int], parts: int) -> str:
    """A label, with two parts the engine behind it, and of a second row of that its number."""
    label, engine, number = key
    if parts == 1:
        return label
    return f"{label}, {engine}" + (f" ({number})" if number > 1 else "")


def by_dataset(cells: Sequence[Cell]) -> dict[str, dict[str, Cell]]:
    """Results by data set and by distinct label, both in the order given."""
    found: dict[str, dict[str, Cell]] = {}
    for cell, label in zip(cells, distinct_labels(cells), strict=True):
        found.setdefault(cell.dataset, {})[label] = cell
    return found


def main_measure(cells: Sequence[Cell], measure: str | None = None) -> str:
    """The measure that plots and tests are of: the one named, or the first of the results.

    Raises:
        UsageError: some result lacks it.
    """
    if not cells:
        raise UsageError("there is no result; give what lsr eval --output wrote")
    chosen = measure or next(iter(cells[0].measures), "")
    for cell in cells:
        if chosen not in cell.measures:
            raise UsageError(
                f"{cell.encoder} on {cell.dataset} has no {chosen}; it has "
                f"{', '.join(cell.measures) or 'no measure'}"
            )
    return chosen


def with_distinct_names(given: Sequence[tuple[str, Sequence[System]]]) -> dict[str, list[System]]:
    """Systems by data set, those of one name told apart by the argument that they came from.

    Raises:
        UsageError: two of one argument have one name.
    """
    names = Counter((one.dataset, one.name) for _, systems in given for one in systems)
    found: dict[str, list[System]] = {}
    for argument, systems in given:
        for one in systems:
            if names[one.dataset, one.name] > 1:
                one = replace(one, name=f"{argument}: {one.name}")
            others = found.setdefault(one.dataset, [])
            if any(other.name == one.name for other in others):
                raise UsageError(
                    f"there are two systems {one.name!r} on {one.dataset}; give each once"
                )
            others.append(one)
    return found


def explained_by(collection: Writable, using: str | None = None) -> Explain:
    """What explains the place of a document by a collection, searched plainly."""
    return lambda text, document: explain_document(
        collection, SearchQuery(text=text), document, SearchConfig(using=using)
    )


def searched_systems(
    dataset: Dataset,
    encoder: str,
    measure: str,
    depth: int | None,
    opened: ExitStack,
    progress: ExperimentProgress | None = None,
    trusted: TrustedCode = NO_CODE,
) -> list[System]:
    """An encoder on a data set, searched as ``lsr eval`` does, in the same index.

    Args:
        dataset: what is searched.
        encoder: as ``lsr eval --encoder`` takes it.
        measure: such as ``nDCG@10``.
        depth: results per query; None: as many as the measure needs.
        opened: closes the collection that explains.
        progress: who is told what.
        trusted: the models whose Python code may run.

    Raises:
        UsageError: there is no such encoder, or no such measure.
    """
    folder = experiment_folder(dataset, encoder_fields(encoder, trusted=trusted))
    cells = evaluate_dataset(
        dataset, encoder, measures=[measure], depth=depth, progress=progress,
        trusted=trusted,
    )  # fmt: skip
    collection = opened.enter_context(closing(Collection.open(folder, trusted=trusted)))
    return [
        System(
            encoder if len(cells) == 1 else f"{encoder} ({cell.using})", cell.dataset,
            cell.per_query[measure], cell.run, explained_by(collection, cell.using),
        )
        for cell in cells
    ]  # fmt: skip
