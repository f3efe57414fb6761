"""Training pairs of broad English for the packaged model: WordNet's and those of docstrings.

    python benches/model_sources.py wordnet FOLDER --output wordnet.jsonl.xz
    python benches/model_sources.py docstrings numpy scipy ... --output docstrings.jsonl.xz

FOLDER is WordNet 3.0's database (data.noun, data.verb, data.adj, data.adv: Debian's wordnet-base);
docstrings are those of installed packages. What comes out are pairs as ``lsr train`` reads them.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lsr.corpus.documents import Document
from lsr.train.pair_files import writing_pairs
from lsr.train.query_generation import QueryGeneration, generate

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
KIND_OF, KINDS = ("@", "@i"), ("~", "~i")
# Kinds that a synset's text names, at most.
MOST_KINDS = 12
# Words of a docstring's first sentence that make a query, and of a text that makes a document.
FEWEST, MOST, SHORTEST = 3, 24, 15
Pair = tuple[str, str]


@dataclass
class Synset:
    """Words of one meaning, the gloss, its examples, and the addresses of related ones."""

    words: list[str]
    gloss: str
    examples: list[str]
    related: dict[str, list[str]] = field(default_factory=dict)


def main() -> int:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=["wordnet", "docstrings"])
    parser.add_argument("sources", nargs="+", help="WordNet's folder, or names of packages")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="pairs that are drawn; 0: all")
    options = parser.parse_args()
    if options.kind == "wordnet":
        pairs = list(wordnet_pairs(Path(options.sources[0])))
    else:
        pairs = list(docstring_pairs(options.sources))
    pairs = sorted(set(pairs))
    random.Random(1).shuffle(pairs)
    pairs = pairs[: options.limit] if options.limit else pairs
    with writing_pairs(options.output) as write:
        for query, positive in pairs:
            write({"query": query, "positive": positive})
    print(f"{options.output}: {len(pairs):,} pairs", file=sys.stderr)
    return 0


def wordnet_pairs(folder: Path) -> Iterator[Pair]:
    """Words to what they mean, and what is meant to its words, examples and kinds."""
    for part, letter in PARTS.items():
        synsets = read_synsets(folder / f"data.{part}", letter)
        for synset in synsets.values():
            words = ", ".join(synset.words)
            upper, lower = (
                [synsets[at].words[0] for at in synset.related.get(kind, ()) if at in synsets]
                for kind in ("of", "kinds")
            )
            about = f"a kind of {', '.join(upper)}. " if upper else ""
            examples = " ".join(f"{example}." for example in synset.examples)
            kinds = f"Kinds: {', '.join(lower[:MOST_KINDS])}. " if lower else ""
            yield words, f"{about}{synset.gloss}. {examples}".strip()
            if examples or kinds or len(synset.words) > 1:
                yield synset.gloss, f"{words}. {about}{kinds}{examples}".strip()


def read_synsets(path: Path, part: str) -> dict[str, Synset]:
    """Address and synset, of a data file in the format of wndb(5WN)."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        data, _, text = line.partition("|")
        fields = data.split()
        count = int(fields[3], 16)
        words = [fields[4 + 2 * at].split("(")[0].replace("_", " ") for at in range(count)]
        gloss, *_ = text.partition('"')
        synset = Synset(words, gloss.strip(" ;"), re.findall(r'"([^"]+)"', text))
        at = 4 + 2 * count
        for pointer in range(int(fields[at])):
            symbol, address, other, _ = fields[at + 1 + 4 * pointer : at + 5 + 4 * pointer]
            kind = "of" if symbol in KIND_OF else "kinds" if symbol in KINDS else ""
            if kind and other == part:
                synset.related.setdefault(kind, []).append(address)
        found[fields[0]] = synset
    return found


def docstring_pairs(packages: Iterable[str]) -> Iterator[Pair]:
    """First sentences of docstrings to the rest of them, and spans of these to theirs."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(folder).rglob("*.py")):
                if "tests" not in path.parts:
                    yield from _file_pairs(path)


def _file_pairs(path: Path) -> Iterator[Pair]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            continue
        first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
        summary, rest = " ".join(first.split()), " ".join(rest.split())
        if not FEWEST <= len(summary.split()) <= MOST or len(rest.split()) < SHORTEST:
            continue
        name = getattr(node, "name", path.stem)
        yield summary, f"{name}. {rest}"
        document = Document(name, f"{name}. {summary} {rest}")
        for pair in generate([document], QueryGeneration(kinds=("span",))):
            yield pair.query, pair.positive


if __name__ == "__main__":
    sys.exit(main())
