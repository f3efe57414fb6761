"""Data sets and suites that are known by name: how large they are, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BEIR_FILES = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets"
BEIR_FOLDER = "corpus.jsonl, queries.jsonl and qrels/test.tsv"
AVERAGED = "beir/cqadupstack"


@dataclass(frozen=True)
class Known:
    """A data set by its name.

    ``id`` is what ir_datasets calls it; empty where that does not have it. ``queries`` are those
    that are judged. ``download`` is in bytes. ``source`` is where its file is, or whom to ask.
    """

    name: str
    documents: int
    queries: int
    licence: str
    download: int
    source: str
    id: str = ""

    @property
    def free(self) -> bool:
        """Whether it is downloaded without an agreement."""
        return bool(self.id)

    @property
    def archive(self) -> Path:
        """Where ir_datasets keeps the file that it downloads."""
        home = Path(os.environ.get("IR_DATASETS_HOME") or Path.home() / ".ir_datasets")
        if self.name.startswith(AVERAGED):
            return home / AVERAGED / "source.zip"
        kept = self.id if self.id.endswith("/v2") else "/".join(self.id.split("/")[:2])
        return home / kept / ("docs" if self.name.startswith("nano-beir/") else "source.zip")

    def cached(self) -> bool:
        """Whether ir_datasets has it on this machine."""
        return self.free and (
            self.archive.exists() or (self.archive.parent / "docs.pklz4").exists()
        )

    def to_fetch(self, data: Path | None = None) -> str:
        """One sentence: the file to fetch, and the place to put it."""
        folder = Path("DIR" if data is None else data, self.name.removeprefix("beir/"))
        give = "give --data DIR" if data is None else f"give --data {data}"
        if not self.free:
            return (
                f"{self.name} is not free to download: {self.source}, put {BEIR_FOLDER} made of it "
                f"into {folder}, and {give}"
            )
        if self.name.startswith("nano-beir/"):
            return f"fetch {self.source}, put {BEIR_FOLDER} made of it into {folder}, and {give}"
        unpacked = folder.parent if self.name.startswith(AVERAGED) else folder
        return (
            f"fetch {self.source} and put it at {self.archive}, or unpack it to {unpacked} and "
            f"{give}"
        )


def _beir(
    name: str, documents: int, queries: int, licence: str, download: int, named: str = ""
) -> Known:
    file = "cqadupstack" if name.startswith("cqadupstack/") else name
    return Known(
        f"beir/{name}", documents, queries, licence, download, f"{BEIR_FILES}/{file}.zip",
        f"beir/{named or name}",
    )  # fmt: skip


def _asked_for(name: str, documents: int, queries: int, licence: str, source: str) -> Known:
    return Known(f"beir/{name}", documents, queries, licence, 0, source)


def _forum(name: str, documents: int, queries: int) -> Known:
    return _beir(f"cqadupstack/{name}", documents, queries, "Apache-2.0", 5_343_728_040)


def _nano(name: str, full: str, documents: int, queries: int = 50) -> Known:
    source = f"https://huggingface.co/datasets/zeta-alpha-ai/Nano{full}"
    named = f"nano-beir/{name}"
    return Known(named, documents, queries, "as in BEIR", 0, source, named)


NOT_SAID = "not said"
# Counts are those of ir_datasets and of the BEIR paper (Thakur et al. 2021), licences those that
# its appendix reports, but for SciFact, which has changed its own since.
KNOWN = (
    _beir("trec-covid", 171_332, 50, "agreement of CORD-19", 73_876_720),
    _beir("nfcorpus", 3_633, 323, NOT_SAID, 2_448_432, "nfcorpus/test"),
    _asked_for("bioasq", 14_914_602, 500, NOT_SAID,
               "register at http://participants-area.bioasq.org for Task 9b"),
    _beir("nq", 2_681_468, 3_452, "CC BY-SA 3.0", 498_307_926),
    _beir("hotpotqa", 5_233_329, 7_405, "CC BY-SA 4.0", 654_025_350, "hotpotqa/test"),
    _beir("fiqa", 57_638, 648, NOT_SAID, 17_948_027, "fiqa/test"),
    _asked_for("signal1m", 2_866_316, 97, "CC BY-SA 3.0",
               "ask for Signal-1M Related Tweets at https://research.signal-ai.com"),
    _asked_for("trec-news", 594_977, 57, "agreement with NIST",
               "ask NIST for the Washington Post collection v2 at https://trec.nist.gov/data/wapost"),
    _asked_for("robust04", 528_155, 249, "agreement with NIST",
               "ask NIST for TREC disks 4 and 5 at https://trec.nist.gov/data/cd45"),
    _beir("arguana", 8_674, 1_406, "CC BY 4.0", 3_773_617),
    _beir("webis-touche2020", 382_545, 49, "CC BY 4.0", 227_132_363, "webis-touche2020/v2"),
    _forum("android", 22_998, 699),
    _forum("english", 40_221, 1_570),
    _forum("gaming", 45_301, 1_595),
    _forum("gis", 37_637, 885),
    _forum("mathematica", 16_705, 804),
    _forum("physics", 38_316, 1_039),
    _forum("programmers", 32_176, 876),
    _forum("stats", 42_269, 652),
    _forum("tex", 68_184, 2_906),
    _forum("unix", 47_382, 1_072),
    _forum("webmasters", 17_405, 506),
    _forum("wordpress", 48_605, 541),
    _beir("quora", 522_931, 10_000, NOT_SAID, 15_853_968, "quora/test"),
    _beir("dbpedia-entity", 4_635_922, 400, "CC BY-SA 3.0", 639_285_131, "dbpedia-entity/test"),
    _beir("scidocs", 25_657, 1_000, "GPL-3.0", 142_471_588),
    _beir("fever", 5_416_568, 6_666, "CC BY-SA 3.0", 1_236_988_269, "fever/test"),
    _beir("climate-fever", 5_416_593, 1_535, NOT_SAID, 1_228_666_652),
    _beir("scifact", 5_183, 300, "CC BY 4.0, ODC-By", 2_816_079, "scifact/test"),
    _beir("msmarco", 8_841_823, 6_980, "MIT, research only", 1_082_258_632, "msmarco/dev"),
    _nano("arguana", "ArguAna", 3_635),
    _nano("climate-fever", "ClimateFEVER", 3_408),
    _nano("dbpedia-entity", "DBPedia", 6_045),
    _nano("fever", "FEVER", 4_996),
    _nano("fiqa", "FiQA2018", 4_598),
    _nano("hotpotqa", "HotpotQA", 5_090),
    _nano("msmarco", "MSMARCO", 5_043),
    _nano("nfcorpus", "NFCorpus", 2_953),
    _nano("nq", "NQ", 5_035),
    _nano("quora", "QuoraRetrieval", 5_046),
    _nano("scidocs", "SCIDOCS", 2_210),
    _nano("scifact", "SciFact", 2_919),
    _nano("webis-touche2020", "Touche2020", 5_745, 49),
)  # fmt: skip
BY_NAME = {each.name: each for each in KNOWN}

CQADUPSTACK = tuple(name for name in BY_NAME if name.startswith(f"{AVERAGED}/"))
# MS MARCO is what most models are trained on, and no part of the average that papers give.
BEIR = tuple(name for name in BY_NAME if name.startswith("beir/") and name != "beir/msmarco")
# What is free, without the twelve forums of CQADupStack: the average of most papers on sparse
# encoders.
BEIR_13 = tuple(name for name in BEIR if BY_NAME[name].free and name not in CQADUPSTACK)
NANO = tuple(name for name in BY_NAME if name.startswith("nano-beir/"))
SUITES = {"beir": BEIR, "beir-13": BEIR_13, "nanobeir": NANO, AVERAGED: CQADUPSTACK}


def expand(names: Sequence[str]) -> list[str]:
    """Data sets, each suite replaced by what it has; the first of each name, in their order."""
    return list(dict.fromkeys(name for each in names for name in SUITES.get(each, (each,))))


def group_of(name: str) -> str:
    """The data set that one is a part of; its own name where it is none."""
    return AVERAGED if name in CQADUPSTACK else name


def known_by(name: str) -> Known | None:
    """The data set of a name, with or without ``beir/`` and the split, or of an id."""
    by_id = {each.id: each for each in KNOWN if each.free}
    return BY_NAME.get(name) or BY_NAME.get(f"beir/{name}") or by_id.get(name)
