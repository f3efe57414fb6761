"""What runs in the processes of the bench: a training that takes its turns."""

from __future__ import annotations

import time
import traceback
from abc import ABC, abstractmethod
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

from encode_bench.subjects import Place
from machine import peak_memory_mb, resident_memory_mb

from train_bench.task import LEARNING_RATE, SEED, STRENGTH, TABLE, Task


class Training(ABC):
    """A training that stops after each turn and goes on with the next.

    It runs as users run it, in a thread of its own, and is held up between two steps.
    """

    def __init__(self, place: Place, task: Task, folder: Path) -> None:
        place.settle()
        self.task = task
        self.folder = folder
        self.losses: list[float] = []
        self._go, self._done = Semaphore(0), Semaphore(0)
        self._error = ""
        self.load()
        self._loaded = resident_memory_mb()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @abstractmethod
    def load(self) -> None:
        """Load the model."""

    @abstractmethod
    def train(self) -> None:
        """Take all steps, and call ``step_done`` after each."""

    def turn(self, steps: int) -> float:
        """Seconds of so many steps."""
        started = time.perf_counter()
        for _ in range(steps):
            self._go.release()
            self._done.acquire()
            if self._error:
                raise RuntimeError(self._error)
        return time.perf_counter() - started

    def finish(self) -> tuple[list[float], float, float]:
        """The loss of each step; MB of memory at the peak, and with the model loaded."""
        return self.losses, peak_memory_mb(), self._loaded

    def step_done(self, loss: float) -> None:
        """Tell that a step is done, and wait for the next turn."""
        self.losses.append(loss)
        self._done.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self.train()
        except BaseException:
            self._error = traceback.format_exc()
            self._done.release()


class Ours(Training):
    """``lsr.train.trainer.Trainer``."""

    def load(self) -> None:
        from lsr.train.trainer import Surroundings, Trainer

        around = Surroundings(on_step=lambda entry, _: self.step_done(entry.loss or 0.0))
        self.folder.mkdir()
        self._trainer = Trainer(self.task.config, self.task.corpus, self.folder, around)

    def export(self) -> Path:
        """The model as it is now, for sentence-transformers to load."""
        return self._trainer.export(self.folder / "exported")

    def train(self) -> None:
        self._trainer.run()


class Theirs(Training):
    """sentence-transformers' SparseEncoderTrainer, on the model that ours has exported."""

    def load(self) -> None:
        import torch
        from sentence_transformers import SparseEncoder

        self._model = SparseEncoder(str(self.folder), device="cpu", local_files_only=True)
        self._model.max_seq_length = self.task.max_length
        for module in self._model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = self.task.dropout

    def train(self) -> None:
        import torch
        from datasets import Dataset
        from sentence_transformers import SparseEncoderTrainer, SparseEncoderTrainingArguments
        from sentence_transformers.sparse_encoder.callbacks.splade_callbacks import (
            SpladeRegularizerWeightSchedulerCallback,
        )
        from sentence_transformers.sparse_encoder.losses import (
            SparseMultipleNegativesRankingLoss,
            SpladeLoss,
        )
        from torch.utils.data import BatchSampler, SequentialSampler
        from transformers import TrainerCallback

        last: list[float] = []

        class Recorded(SpladeLoss):
            def forward(self, *arguments: Any, **named: Any) -> dict[str, torch.Tensor]:
                parts = super().forward(*arguments, **named)
                last[:] = [float(sum(parts.values()).detach())]
                return parts

        class Pause(TrainerCallback):
            def on_step_end(callback, *_: Any, **__: Any) -> None:  # noqa: N805
                self.step_done(last[0])

        loss = Recorded(
            self._model,
            SparseMultipleNegativesRankingLoss(self._model, scale=1.0),
            document_regularizer_weight=STRENGTH,
        )
        queries, documents = zip(*self.task.in_order(), strict=True)
        mapping = {"query": "query", "positive": "document"}
        trainer = SparseEncoderTrainer(
            model=self._model,
            args=SparseEncoderTrainingArguments(
                output_dir=str(self.folder / "trainer"),
                max_steps=self.task.steps,
                per_device_train_batch_size=self.task.batch,
                learning_rate=LEARNING_RATE,
                weight_decay=0.01,
                warmup_steps=0,
                max_grad_norm=1.0,
                optim="adamw_torch_fused",
                batch_sampler=lambda data, batch_size, drop_last, **_: BatchSampler(
                    SequentialSampler(data), batch_size, drop_last
                ),
                router_mapping=mapping if self.task.queries == TABLE else {},
                use_cpu=True,
                dataloader_pin_memory=False,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                seed=SEED,
            ),
            train_dataset=Dataset.from_dict({"query": queries, "positive": documents}),
            loss=loss,
            callbacks=[Pause()],
        )
        # Its strength would rise from 0; ours is told to be constant too.
        trainer.remove_callback(SpladeRegularizerWeightSchedulerCallback)
        trainer.train()
