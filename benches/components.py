"""The components of the unified framework, trained alike: the tables of docs/components.md.

    python benches/components.py --quick
    python benches/components.py --results components.jsonl --jobs 12
    python benches/components.py --results components.jsonl --write docs/components.md

As recipe.py, whose trainings, files and options these are: what is in the file of results is not
done again, and the third command writes what is there without training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import recipe
from components_bench.rows import jobs
from components_bench.section import section

PROGRAM = "components"


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    options = parse(arguments)
    budget = recipe.budget_of(options)
    return recipe.run(
        options, jobs(budget), lambda tables: (section(options.command, budget, tables), {})
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    return recipe.options_of(recipe.parser_of(__doc__), arguments, PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
