"""`lsr judge`: answers come from standard input, as of a person."""

import subprocess
import sys

import pytest

from lsr.corpus.qrels import read_qrels
from tests.service.conftest import environment, sentence, write_jsonl

ASKED = ("judge", "mine", "--run", "a.run", "--run", "b.run")


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    write_jsonl(folder / "corpus.jsonl", [
        {"_id": f"d{place}", "title": f"Title {place}", "text": f"text \x1b[31m {place} " * 90}
        for place in range(6)
    ])  # fmt: skip
    write_jsonl(folder / "queries.jsonl", [
        {"_id": "q1", "text": "one"}, {"_id": "blank", "text": " "}, {"_id": "q2", "text": "two"},
    ])  # fmt: skip
    (tmp_path / "a.run").write_text("q1 Q0 d0 1 2 a\nq1 Q0 d1 2 1 a\nq2 Q0 d2 1 1 a\n")
    (tmp_path / "b.run").write_text("q1 Q0 d1 1 2 b\nq1 Q0 d3 2 1 b\n")
    return folder


def judgements(folder):
    return read_qrels(folder / "qrels" / "test.tsv")


def test_answers_become_qrels_and_a_second_session_goes_on(lsr, mine):
    first = lsr(*ASKED, stdin=b"2\nq\n")
    shown = first.stdout.decode()
    assert "Query 1 of 2: one" in shown
    assert "1 of 2 queries judged, 1 judgements" in shown
    assert "3 to go: run the same command again" in shown
    assert "\x1b" not in shown
    second = lsr(*ASKED, stdin=b"0\n1\n3\n").stdout.decode()
    assert "2 of 2 queries judged, 4 judgements in mine/qrels/test.tsv\n" in second
    found = judgements(mine)
    assert {query: set(grades) for query, grades in found.items()} == {
        "q1": {"d0", "d1", "d3"}, "q2": {"d2"},
    }  # fmt: skip
    assert sorted(found["q1"].values()) == [0, 1, 2]
    assert found["q2"] == {"d2": 3}
    third = lsr(*ASKED).stdout.decode()
    assert "Query" not in third


def test_undo_skip_next_more_and_nonsense(lsr, mine):
    done = lsr(*ASKED, stdin=b"u\n2\nu\n1\ns\nm\nx\n9\nn\n3\n").stdout.decode()
    assert "nothing to undo" in done
    assert "'9' is no answer" in done
    found = judgements(mine)
    assert list(found["q1"].values()) == [1]
    assert found["q2"] == {"d2": 3}


def test_a_killed_session_keeps_its_answers(mine, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", *ASKED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path),
    ) as session:  # fmt: skip
        session.stdin.write(b"2\n1\n")
        session.stdin.flush()
        prompts = 0
        while prompts < 3:
            prompts += session.stdout.read(1) == b">"
        session.kill()
    assert sorted(judgements(mine)["q1"].values()) == [1, 2]


def test_encoders_are_pooled_and_judged_sets_are_scored(lsr, mine):
    (mine / "corpus.jsonl").write_text("")
    write_jsonl(mine / "corpus.jsonl", [
        {"_id": "d1", "text": "number one"}, {"_id": "d2", "text": "number two"},
    ])  # fmt: skip
    done = lsr("judge", "mine", "--encoder", "bm25", "--depth", 1, stdin=b"1\n1\n")
    assert done.returncode == 0, done.stderr
    assert judgements(mine) == {"q1": {"d1": 1}, "q2": {"d2": 1}}
    assert "1.0000" in lsr("eval", "mine", "--encoder", "bm25").stdout.decode()
    own = lsr("judge", "mine", "--encoder", "bm25", "--limit", 1, "--qrels", "x", stdin=b"2\n")
    assert own.returncode == 0
    assert (mine.parent / "x").read_text() == "q1 0 d1 2\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["judge", "mine"], "name the systems"),
        (["judge", "nowhere", "--encoder", "bm25"], "no corpus.jsonl"),
        (["judge", "mine", "--run", "other.run"], "not in the corpus, such as 'd77'"),
    ],
)
def test_what_can_not_be_judged_is_said(lsr, mine, words, said):
    (mine.parent / "other.run").write_text("q1 Q0 d77 1 2 a\n")
    done = lsr(*words)
    assert done.returncode == 2
    assert said in sentence(done)
