"""MTEB's runner on its own tasks, and on data sets of this machine as tasks of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.arenas.mteb import MtebModel, needs_mteb, plain_name
from eval.datasets import Dataset, load_dataset
from lsr.errors import InputError, NotFoundError


def mteb_task(dataset: Dataset, split: str = "test") -> Any:
    """A retrieval task of MTEB over a data set of ``load_dataset``, of which it downloads nothing.

    Its main score is ``ndcg_at_10``; a query's own id doesn't count where it doesn't for
    ``lsr eval``.

    Raises:
        MissingDependencyError: mteb is not installed.
    """
    needs_mteb()
    from datasets import Dataset as Rows
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class LocalTask(AbsTaskRetrieval):  # type: ignore[misc]
        metadata = TaskMetadata(
            name=plain_name(dataset.name),
            description=f"The data set {dataset.name} of this machine.",
            type="Retrieval",
            category="t2t",
            dataset={"path": dataset.name, "revision": dataset.digest()},
            eval_splits=[split],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )
        data_loaded: bool = False
        ignore_identical_ids = dataset.drops_self

        def load_data(self, *_: Any, **__: Any) -> None:
            if self.data_loaded:
                return
            documents = [item.document for item in dataset.corpus() if item.document is not None]
            columns = ("id", "title", "text")
            corpus = {name: [getattr(each, name) for each in documents] for name in columns}
            queries = {name: [getattr(q, name) for q in dataset.queries] for name in ("id", "text")}
            self.dataset = {
                "default": {
                    split: {
                        "corpus": Rows.from_dict(corpus),
                        "queries": Rows.from_dict(queries),
                        "relevant_docs": {q: dict(grades) for q, grades in dataset.qrels.items()},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return LocalTask()


def run_mteb(
    model: MtebModel, names: Sequence[str], output: Path | None = None
) -> list[dict[str, Any]]:
    """Run MTEB's runner on its tasks by their names, and on BEIR folders.

    Args:
        model: what is evaluated.
        names: of tasks; what is a folder is a data set of ``load_dataset``.
        output: where MTEB keeps its files, from which results are taken that are there; None:
            nothing is kept.

    Returns:
        For each split of each task ``task``, ``split``, ``main_score`` (a name), ``score``, and
        all ``scores``.

    Raises:
        NotFoundError: MTEB has no such task.
        InputError: the data of a task can't be had.
    """
    import mteb

    tasks = []
    for name in names:
        if Path(name).is_dir():
            tasks.append(mteb_task(load_dataset(name)))
            continue
        try:
            tasks.append(mteb.get_task(name))
        except KeyError as error:
            raise NotFoundError(
                f"MTEB has no task {name!r}, and there is no such folder; "
                "https://docs.mteb.org lists its tasks"
            ) from error
    cache = None if output is None else mteb.ResultCache(output)
    rows = []
    for task in tasks:
        try:
            result = mteb.evaluate(model, task, cache=cache, show_progress_bar=False)
        except OSError as error:
            raise InputError(f"the task {task.metadata.name} can't be run: {error}") from error
        for found in result.task_results:
            rows += [
                {
                    "task": found.task_name,
                    "split": split,
                    "main_score": task.metadata.main_score,
                    "score": scores["main_score"],
                    "scores": scores,
                }
                for split, subsets in found.scores.items()
                for scores in subsets
            ]
    return rows
