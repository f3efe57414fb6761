"""Small BEIR folders: random words, judged at random, the same for a seed."""

import json
import random

WORDS = [*"abcdefgh", "wing", "boundary", "the", "of"]


def write_beir(folder, seed=0, documents=30, queries=8):
    """Write a folder; returns it."""
    generator = random.Random(seed)

    def words(least, most):
        return " ".join(generator.choices(WORDS, k=generator.randint(least, most)))

    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": "", "text": words(2, 9)} for n in range(documents)]
    asked = [{"_id": f"q{n}", "text": words(1, 3)} for n in range(queries)]
    judged = [
        f"q{query}\td{document}\t{generator.choice([0, 1, 2])}"
        for query in range(queries)
        for document in generator.sample(range(documents), 3)
    ]
    write_rows(folder / "corpus.jsonl", corpus)
    write_rows(folder / "queries.jsonl", asked)
    (folder / "qrels/test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    return folder


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
