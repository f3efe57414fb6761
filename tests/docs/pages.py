"""The pages of documentation, and what stands in them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PORT = "8000"
GUIDE = ROOT / "docs" / "training.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


class Step(NamedTuple):
    """One command of a console session, and what it prints."""

    command: str
    output: str


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """Texts of the page's fenced blocks in one language, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.M | re.S)
    return [text for kind, text in found if kind == language]


def session(page):
    """The steps of all console blocks of a page, in order."""
    steps = []
    for block in blocks(page, "console"):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = step.partition("\n")
            if "<<'END'" in command:
                body, _, output = output.partition("END\n")
                command = f"{command}\n{body}END"
            steps.append(Step(command, output))
    return steps


def pages_with(language):
    return [page for page in PAGES if blocks(page, language)]


def pets():
    """The README's steps that make the file ``pets.jsonl`` and the collection ``pets``."""
    return [
        step
        for step in session(README)
        if step.command.startswith(("cat > pets.jsonl", "lsr index pets.jsonl"))
    ]
