"""A client with things of its own: what it was told is done, it knows, and looks for it later."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.served_crash_bench.server import Client, Gone
from index.collection.collection import Collection

IDS, MOST_INDEXES, MOST_KEYS = 40, 3, 8
IMPORTED = 60
TASK_SECONDS = 120.0
Documents = dict[str, str]
"""The text of each document, by id."""


@dataclass
class World:
    """What there is of one client's things."""

    indexes: dict[str, Documents] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, Documents] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)


@dataclass
class Step:
    """A request that is being answered, and what there is once it has done its work."""

    what: str
    method: str
    path: str
    body: Any
    after: World
    is_task: bool = False
    task: str = ""


class Owner:
    """Asks for one thing after the other until the server is gone.

    Args:
        name: with which the names of all its things begin.
        folder: of collections, to look into.
        seed: of its choices.
    """

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        self.name = name
        self._folder = folder
        self._numbers = random.Random(seed)
        self._count = 0
        self.world = World()
        self.step: Step | None = None
        self.acknowledged = 0
        self.resumed = {"succeeded": 0, "failed": 0}
        self.problems: list[str] = []

    def go_on(self, port: int, stop: Callable[[], bool]) -> None:
        """Ask, and note what is acknowledged."""
        client = Client(port)
        try:
            while not stop():
                self._do(client, self._choose())
        except Gone:
            pass
        # A bench that stops short would find nothing.
        except Exception as error:
            self.problems.append(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            client.close()

    def examine(self, port: int) -> None:
        """Look for what was acknowledged, after a new start; what is there is known then."""
        with closing(Client(port)) as client:
            step, self.step = self.step, None
            allowed = [self.world] if step is None else [self.world, step.after]
            if step is not None and step.is_task:
                allowed = self._ended(client, step, allowed)
            found = self._observed(client, allowed[-1])
            same = [world for world in allowed if _same(world, found)]
            what = "nothing" if step is None else step.what
            if not same:
                wanted = [_shown(world) for world in allowed]
                self._problem(f"in flight was {what}; found {_shown(found)}, allowed are {wanted}")
                return
            self.world = copy.deepcopy(same[0])
            self._try_keys(client, port, None if step is None else step.after)

    def _do(self, client: Client, step: Step) -> None:
        self.step = step
        status, body = client.ask(step.method, step.path, step.body)
        if status in (200, 201) and not step.is_task and not (body or {}).get("errors"):
            if step.what == "create key":
                step.after.keys[body["token"]] = body["key"]["id"]
            self._acknowledge(step)
        elif status == 202:
            step.task = body["id"]
            self._follow(client, step)
        elif status == 503 or (status == 200 and "items" in body):
            self.step = None
        else:
            self._problem(f"{step.method} {step.path}: {status} {body}")
            self.step = None

    def _follow(self, client: Client, step: Step) -> None:
        while True:
            task = client.ask("GET", f"/v1/tasks/{step.task}").body
            if "finished" in task:
                break
            time.sleep(0.05)
        if task["status"] == "succeeded":
            self._acknowledge(step)
        else:
            # Of three attempts each may have been cut short.
            self._check_failure(task)
            self.world = self._observed(client, self.world)
        self.step = None

    def _acknowledge(self, step: Step) -> None:
        self.world, self.step = step.after, None
        self.acknowledged += 1

    def _check_failure(self, task: Mapping[str, Any]) -> None:
        error = task.get("error", {})
        if task["status"] != "failed" or error.get("type") != "interrupted":
            self._problem(f"a task ended as {task}")

    def _ended(self, client: Client, step: Step, allowed: list[World]) -> list[World]:
        """Which worlds there may be once the task that was in flight has ended."""
        until = time.monotonic() + TASK_SECONDS
        index = step.path.split("/")[3]
        while time.monotonic() < until:
            path = f"/v1/tasks?index={index}&status=enqueued&status=processing"
            if not client.ask("GET", path).body["tasks"]:
                break
            time.sleep(0.05)
        else:
            self._problem(f"a task of {index} does not end")
        if not step.task:
            return allowed
        answer = client.ask("GET", f"/v1/tasks/{step.task}")
        if answer.status != 200:
            self._problem(f"the task {step.task} is forgotten: {answer}")
            return allowed
        if answer.body["status"] == "succeeded":
            self.resumed["succeeded"] += 1
            return [step.after]
        self.resumed["failed"] += 1
        self._check_failure(answer.body)
        return allowed

    def _choose(self) -> Step:
        self._count += 1
        after, numbers = copy.deepcopy(self.world), self._numbers
        if not after.indexes:
            return self._create(after)
        index = numbers.choice(sorted(after.indexes))
        kinds: dict[Callable[[World, str], Step | None], int] = {
            self._upsert: 12, self._delete: 5, self._make: 2, self._drop: 1, self._alias: 3,
            self._swap: 2, self._key: 1, self._revoke: 1, self._import: 1, self._snapshot: 1,
            self._restore: 1, self._reencode: 1, self._merge: 1,
        }  # fmt: skip
        while True:
            (kind,) = numbers.choices(list(kinds), list(kinds.values()))
            if (step := kind(after, index)) is not None:
                return step

    def _create(self, after: World) -> Step:
        index = f"{self.name}-{self._count}"
        after.indexes[index] = {}
        return Step("create", "PUT", f"/v1/indexes/{index}", {"encoder": "bm25"}, after)

    def _make(self, after: World, _: str) -> Step | None:
        return self._create(after) if len(after.indexes) < MOST_INDEXES else None

    def _drop(self, after: World, index: str) -> Step:
        del after.indexes[index]
        after.aliases = {name: to for name, to in after.aliases.items() if to != index}
        return Step("drop", "DELETE", f"/v1/indexes/{index}", None, after)

    def _upsert(self, after: World, index: str) -> Step:
        some = self._numbers.sample(range(IDS), self._numbers.randint(1, 12))
        texts = {f"d{number}": f"banana {self._count}" for number in some}
        after.indexes[index] |= texts
        body = [{"id": identifier, "text": text} for identifier, text in texts.items()]
        return Step("upsert", "POST", f"/v1/indexes/{index}/documents", body, after)

    def _delete(self, after: World, index: str) -> Step | None:
        there = sorted(after.indexes[index])
        some = self._numbers.sample(there, min(len(there), 5))
        for identifier in some:
            del after.indexes[index][identifier]
        path = f"/v1/indexes/{index}/documents/delete"
        return Step("delete", "POST", path, {"ids": some}, after) if some else None

    def _alias(self, after: World, index: str) -> Step:
        alias = f"{self.name}-alias-{self._numbers.randint(1, 3)}"
        if alias in after.aliases and self._numbers.random() < 0.3:
            del after.aliases[alias]
            return Step("remove alias", "DELETE", f"/v1/aliases/{alias}", None, after)
        after.aliases[alias] = index
        return Step("alias", "PUT", f"/v1/aliases/{alias}", {"index": index}, after)

    def _swap(self, after: World, _: str) -> Step | None:
        if len(after.aliases) < 2:
            return None
        names = self._numbers.sample(sorted(after.aliases), 2)
        targets = [after.aliases[name] for name in reversed(names)]
        after.aliases |= dict(zip(names, targets, strict=True))
        changes = [{"alias": name, "index": after.aliases[name]} for name in names]
        return Step("swap aliases", "POST", "/v1/aliases", {"changes": changes}, after)

    def _key(self, after: World, _: str) -> Step | None:
        if len(after.keys) >= MOST_KEYS:
            return None
        return Step("create key", "POST", "/v1/keys", {"name": self.name}, after)

    def _revoke(self, after: World, _: str) -> Step | None:
        if not after.keys:
            return None
        token = self._numbers.choice(sorted(after.keys))
        identifier = after.keys.pop(token)
        after.revoked.append(token)
        return Step("revoke key", "DELETE", f"/v1/keys/{identifier}", None, after)

    def _task(self, what: str, index: str, body: Any, after: World) -> Step:
        return Step(what, "POST", f"/v1/indexes/{index}/{what}", body, after, is_task=True)

    def _import(self, after: World, index: str) -> Step:
        after.indexes[index] |= imported()
        return self._task("import", index, {"source": "import.jsonl"}, after)

    def _snapshot(self, after: World, index: str) -> Step:
        name = f"{index}/s{self._count}"
        after.snapshots[name] = dict(after.indexes[index])
        return self._task("snapshots", index, {"name": f"s{self._count}"}, after)

    def _restore(self, after: World, index: str) -> Step | None:
        if not after.snapshots:
            return None
        name = self._numbers.choice(sorted(after.snapshots))
        of, _, snapshot = name.partition("/")
        if len(after.indexes) < MOST_INDEXES and self._numbers.random() < 0.5:
            index = f"{self.name}-{self._count}"
        after.indexes[index] = dict(after.snapshots[name])
        return self._task(
            "restore", index, {"snapshot": snapshot, "of": of, "replace": True}, after
        )

    def _reencode(self, after: World, index: str) -> Step:
        k1 = self._numbers.choice([0.8, 0.9, 1.0, 1.1])
        return self._task("reencode", index, {"encoder": f"bm25,k1={k1}"}, after)

    def _merge(self, after: World, index: str) -> Step:
        return self._task("merge", index, None, after)

    def _observed(self, client: Client, expected: World) -> World:
        """What there is; ``expected`` says which snapshots to look at, and has the keys."""
        listed = client.ask("GET", "/v1/indexes").body["indexes"]
        own = [each["name"] for each in listed if each["name"].startswith(f"{self.name}-")]
        aliases = client.ask("GET", "/v1/aliases").body["aliases"]
        found = copy.deepcopy(expected)
        found.indexes = {name: self._documents(client, name) for name in own}
        found.aliases = {
            each["alias"]: each["index"]
            for each in aliases
            if each["alias"].startswith(f"{self.name}-")
        }
        for index in {name.partition("/")[0] for name in expected.snapshots}:
            answer = client.ask("GET", f"/v1/indexes/{index}/snapshots").body
            there = {f"{index}/{each['name']}" for each in answer.get("snapshots", ())}
            for name in expected.snapshots:
                if name.startswith(f"{index}/") and name not in there:
                    del found.snapshots[name]
        return found

    def _documents(self, client: Client, index: str) -> Documents:
        collection = Collection.open(self._folder / index)
        try:
            with collection.store.reading():
                held = collection.store.documents(collection.store.live().tolist())
            found = {document.id: document.text for document in held.values()}
        finally:
            collection.close()
        for identifier in self._numbers.sample(sorted(found), min(3, len(found))):
            answer = client.ask("GET", f"/v1/indexes/{index}/documents/{identifier}")
            if answer.status != 200 or answer.body["text"] != found[identifier]:
                self._problem(f"{index} has {identifier}, but the server says {answer}")
        body = {"query": {"text": "banana"}, "limit": 100, "using": "sparse"}
        answer = client.ask("POST", f"/v1/indexes/{index}/search", body)
        hits = {hit["id"] for hit in answer.body.get("hits", ())}
        if answer.status != 200 or hits != set(found):
            self._problem(f"a search of {index} finds {sorted(hits)}, there are {sorted(found)}")
        return found

    def _try_keys(self, client: Client, port: int, after: World | None) -> None:
        """Keys work that were made, and those don't that were revoked."""
        maybe = set() if after is None else set(after.revoked) - set(self.world.revoked)
        for token, wanted in [
            *((token, 200) for token in self.world.keys if token not in maybe),
            *((token, 401) for token in self.world.revoked[-5:]),
        ]:
            with closing(Client(port, token)) as other:
                if (status := other.ask("GET", "/v1/indexes").status) != wanted:
                    self._problem(f"a key is answered {status}, and should be {wanted}")
        for token in maybe:
            with closing(Client(port, token)) as other:
                if other.ask("GET", "/v1/indexes").status == 401:
                    del self.world.keys[token]
                    self.world.revoked.append(token)

    def _problem(self, sentence: str) -> None:
        self.problems.append(f"{self.name}: {sentence}")


def imported() -> Documents:
    """What the file holds that is imported."""
    return {f"f{number}": f"banana {number} of a file" for number in range(IMPORTED)}


def _same(expected: World, found: World) -> bool:
    parts = "indexes", "aliases"
    there = set(expected.snapshots) <= set(found.snapshots)
    return there and all(getattr(expected, part) == getattr(found, part) for part in parts)


def _shown(world: World) -> str:
    return f"{world.indexes} {world.aliases} {sorted(world.snapshots)}"
