"""The console sessions are typed, and must print what the pages show; numbers may differ.

README's session begins in an empty folder, those of the other pages with README's pets.
"""

import re
import shutil
import sys

import pytest

from eval import demo
from eval.datasets import load_dataset
from eval.kept_indexes import experiment_folder, note_use
from index.collection.collection import Collection
from tests.docs.pages import PORT, README, name_of, pages_with, session

pytestmark = pytest.mark.long
DEMO = ["lsr demo --into demo --no-serve", "lsr eval demo --bm25"]
# What the README's searches find.
FOUND = ("webbrowser.open_new_tab", "shutil.copy2")
# What depends on all documents: which words weigh most, digests, and which row is surely better.
OF_ALL = r"(?<=sparse: ).*|(?<==)\S*[0-9a-f]{16}\S*|(?<=native   0\.\d{4})[ a-z]+"
NUMBER = r"[\\d,.]+"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="REST sessions need curl")


def pattern(output):
    """What the output must look like: ``...`` stands for anything, numbers for numbers.

    How many spaces part columns depends on how long numbers are.
    """
    parts = [re.escape(part) for part in re.split(r"\.\.\.", normal(output))]
    parts = [re.sub(r"(\\ )+", r"\\ +", part) for part in parts]
    return ".*".join(re.sub(r"\d[\d,]*(\\\.\d+)?", NUMBER, part) for part in parts)


def normal(text):
    return re.sub(r" +$", "", text, flags=re.M).strip()


def type_in(terminal, steps, port):
    for command, output in steps:
        line = command.replace(PORT, port)
        line = line.replace("curl ", "curl --retry-connrefused --retry 40 ")
        run = terminal.serve if line.endswith(" &") else terminal.run
        printed = run(line.removesuffix(" &"))
        assert re.fullmatch(pattern(output), normal(printed), re.S), (command, printed)


def keep_for_evaluation(folder):
    """Put the demo's collection where ``lsr eval demo`` keeps its own, so that it is made once.

    One of other fields beside takes the vectors from there.
    """
    dataset, collection = load_dataset("demo"), Collection.open(folder)
    kept = experiment_folder(dataset, collection.fields)
    kept.parent.mkdir(parents=True)
    kept.symlink_to(folder)
    note_use(collection, dataset, None)
    collection.close()


def demo_as_it_prints(steps):
    """The README's steps, with the searches that the demo itself prints as part of its output."""
    inner = [step for step in steps if step.command.startswith("lsr search demo")]
    assert inner
    shown = "".join(f"$ {step.command}\n{step.output}" for step in inner)
    return [
        step._replace(output=step.output + shown) if step.command.startswith("lsr demo") else step
        for step in steps
        if step not in inner
    ]


@pytest.fixture
def part_of_the_library(monkeypatch):
    """The demo is of an eighth of its documents, which is encoded in seconds."""
    documents = list(demo.stdlib_documents())
    part = [each for n, each in enumerate(documents) if n % 8 == 1 or each.id in FOUND]
    monkeypatch.setattr(demo, "_own_documents", lambda: part)


@needs_curl
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the demo's corpus is Python 3.11's")
@pytest.mark.usefixtures("part_of_the_library")
def test_the_readme_shows_what_happens(terminal, free_port):
    steps = [
        step._replace(output=re.sub(OF_ALL, "...", step.output)) if step.command in DEMO else step
        for step in demo_as_it_prints(session(README))
    ]
    type_in_the_readme(terminal, steps, free_port)


@needs_curl
@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the demo's corpus is Python 3.11's")
def test_the_readme_shows_what_happens_with_the_whole_library(terminal, free_port):
    type_in_the_readme(terminal, demo_as_it_prints(session(README)), free_port)


def type_in_the_readme(terminal, steps, free_port):
    assert [step.command for step in steps[:2]] == DEMO
    type_in(terminal, steps[:1], str(free_port))
    keep_for_evaluation(terminal.folder / "demo")
    type_in(terminal, steps[1:], str(free_port))


@needs_curl
@pytest.mark.parametrize(
    "page", [page for page in pages_with("console") if page != README], ids=name_of
)
def test_a_page_shows_what_happens(terminal_with_pets, free_port, page):
    type_in(terminal_with_pets, session(page), str(free_port))
