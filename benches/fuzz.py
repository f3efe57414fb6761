"""Feed readers of foreign files with mutated files, and see that none of them falls over.

A reader may refuse a file with an error of ours, and no other; it may not crash, hang or take more
than 2 GiB. What it accepts is used: a segment is searched, rows are read.

    segment      segment files, whose checksums are passed over
    manifest     the manifest of a snapshot
    store        the SQLite file of a snapshot
    rows         a vector and a text as its rows have them
    ciff         vectors in the Common Index File Format
    csr          vectors in our safetensors file
    safetensors  the weights of a BERT folder, which is loaded and run
    jsonl        a corpus, and vectors, in JSON lines
    corpus       files of documents; the first line of an input is the ending of its name

Inputs begin with the files of tests/fuzz/TARGET. With atheris (libFuzzer; ``pip install atheris``)
coverage guides them; without it, they are mutated blindly. A finding is written to --findings, and
belongs into tests/fuzz/TARGET once it is mended: tests/benches/test_fuzz.py reads all of them.

    python benches/fuzz.py [--seconds N] [--findings FOLDER] [TARGET ...]
"""

from __future__ import annotations

import argparse
import importlib
import logging
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.engine_bench.report import write_json
from benches.machine import describe_machine, describe_versions

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "fuzz"
TARGETS = ("segment", "manifest", "store", "rows", "ciff", "csr", "safetensors", "jsonl", "corpus")
LARGEST_INPUT = 1 << 16
MEMORY_MB = 2048
LONGEST_S = 20
QUICK_S = 5
Read = Callable[[bytes], None]


def reader_of(target: str) -> Read:
    """What reads one input of a target; it raises where it finds a fault."""
    readers = importlib.import_module("fuzz_readers")
    read: Read = readers.READERS[target](Path(tempfile.mkdtemp(prefix="lsr-fuzz-")))
    return read


def run_target(target: str, seconds: int, findings: Path) -> None:
    """Fuzz in this process until the time is over, or something is found."""
    logging.disable()
    findings.mkdir(parents=True, exist_ok=True)
    if find_spec("atheris") is None:
        _mutate_blindly(target, seconds, findings)
        return
    import atheris

    with atheris.instrument_imports(include=["lsr", "index", "fuzz_readers"]):
        read = reader_of(target)
    with tempfile.TemporaryDirectory() as grown:
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={LARGEST_INPUT}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-timeout={LONGEST_S}",
            f"-artifact_prefix={findings}/{target}-",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        atheris.Setup([sys.argv[0], *options, grown, str(CORPUS / target)], read)
        atheris.Fuzz()


def _mutate_blindly(target: str, seconds: int, findings: Path) -> None:
    limit = MEMORY_MB << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    read, numbers = reader_of(target), random.Random(target)
    seeds = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    last = findings / f"{target}-last"
    deadline, runs = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        data = mutated(numbers.choice(seeds), numbers)[:LARGEST_INPUT]
        last.write_bytes(data)  # what a crash leaves behind
        read(data)
        runs += 1
    last.unlink()
    print(f"stat::number_of_executed_units: {runs}")


def mutated(data: bytes, numbers: random.Random) -> bytes:
    """The bytes with a few flipped, replaced, removed, repeated, or made extreme."""
    changed = bytearray(data)
    for _ in range(numbers.choice([1, 1, 2, 4, 16])):
        place = numbers.randrange(len(changed) + 1)
        count = numbers.choice([1, 1, 2, 4, 8, 64])
        what = numbers.randrange(6)
        if what == 0 and place < len(changed):
            changed[place] ^= 1 << numbers.randrange(8)
        elif what == 1:
            changed[place : place + count] = numbers.randbytes(count)
        elif what == 2:
            del changed[place : place + count]
        elif what == 3:
            changed[place:place] = changed[place : place + count] * numbers.randint(1, 50)
        elif what == 4:
            changed[place : place + count] = numbers.choice([b"\xff", b"\x00", b"\x7f"]) * count
        else:
            digits = str(numbers.choice([2**31, 2**63, 2**64 - 1, -1, 10**400, 1e308])).encode()
            changed[place : place + count] = digits
    return bytes(changed)


def fuzz(target: str, seconds: int, findings: Path) -> dict[str, Any]:
    """Fuzz a target in a process of its own; how many inputs it read, and how it ended."""
    command = [sys.executable, __file__, "--here", target, "--seconds", str(seconds)]
    command += ["--findings", str(findings)]
    before = set(findings.iterdir()) if findings.is_dir() else set()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    output = done.stdout + done.stderr
    runs = [line.split()[-1] for line in output.splitlines() if "executed_units" in line]
    if done.returncode:
        (findings / f"{target}.log").write_text(output)
    return {
        "target": target,
        "runs": int(runs[-1]) if runs else 0,
        "exit": done.returncode,
        "found": sorted(path.name for path in set(findings.iterdir()) - before),
    }


def main() -> None:
    """Fuzz every target for a while, print a line each, and exit with 1 if one found anything."""
    parser = argparse.ArgumentParser(description="Feed readers with mutated files.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--quick", action="store_true", help="5 seconds for each target")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--json", metavar="FILE", help="write a JSON object there; - for stdout")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--here", choices=TARGETS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        run_target(arguments.here, arguments.seconds, arguments.findings)
        return
    arguments.findings.mkdir(parents=True, exist_ok=True)
    rows = []
    for target in arguments.targets or TARGETS:
        seconds = QUICK_S if arguments.quick else arguments.seconds
        rows.append(fuzz(target, seconds, arguments.findings))
        print(
            "{target:12} {runs:>10} inputs, exit code {exit} {found}".format(**rows[-1]),
            file=sys.stderr if arguments.json == "-" else sys.stdout,
        )
    if arguments.json:
        result = {
            "machine": describe_machine(),
            "versions": describe_versions(["atheris", "safetensors", "protobuf"]),
            "rows": rows,
        }
        write_json(arguments.json, result)
    if not any(row["exit"] for row in rows):
        shutil.rmtree(arguments.findings)
    sys.exit(1 if any(row["exit"] for row in rows) else 0)


if __name__ == "__main__":
    main()
