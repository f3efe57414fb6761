import json

import pytest

from lsr.encoders.packaged import DEFAULT_ENCODER
from tests import forked
from tests.service.conftest import environment, sentence


def test_index_then_search_then_info(lsr, corpus):
    result = lsr("index", corpus, "--into", "fruit")
    assert result.returncode == 0, result.stderr
    assert "3 documents encoded" in result.stdout.decode()
    shown = lsr("search", "fruit", "cherry").stdout.decode()
    assert "1. Cherries" in shown
    assert "sparse: cherry" in shown
    found = json.loads(lsr("search", "fruit", "cherry", "--json").stdout)
    assert [hit["id"] for hit in found["hits"]] == ["b"]
    assert found["hits"][0]["terms"]["sparse"][0]["token"] == "cherry"
    info = json.loads(lsr("info", "fruit", "--json").stdout)
    assert (info["documents"], info["fields"][0]["encoder"]) == (3, DEFAULT_ENCODER)
    assert DEFAULT_ENCODER in lsr("info", "fruit").stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "reason", "code"),
    [
        (
            ["index", "gone.jsonl", "--into", "x", "--encoder", "bm25"],
            "no file or folder 'gone.jsonl'",
            2,
        ),
        (["index", "corpus.png", "--into", "x", "--encoder", "bm25"], "of no known kind", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "nosuch"], "'nosuch' is not a", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "./nosuch"], "does not exist", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "bm25,k9=1"], "'k9' is not", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "bm25,b=7"], "b is 7.0", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "splade"], "names no model", 2),
        (
            ["index", "corpus.jsonl", "--into", "corpus.jsonl", "--encoder", "bm25"],
            "no collection can be created",
            2,
        ),
        (["index", "corpus.jsonl", "--into", "fruit", "--encoder", "bm25,b=1"], "was built", 1),
        (["search", "fruit", ""], "query is empty", 2),
        (["search", "fruit", "x", "--limit", "0"], "limit is 0", 2),
        (["search", "fruit", "x", "--using", "dense"], "no 'dense' field", 2),
        (["search", "fruit", "x", "--using", "hybrid"], "--dense MODEL", 2),
        (["search", "fruit", "x", "--engine", "wand"], "no engine 'wand'", 2),
        (["search", "nowhere", "x"], "no collection at nowhere", 2),
        (["search", "fruit", "x", "--filter", "a ="], "where it needs a value", 2),
        (["search", "fruit", "x", "--filter", ""], "where it needs a key", 2),
        (["search", "fruit", "x", "--effort", "2"], "the effort is 2.0", 2),
        (["search", "fruit", "x", "--time-budget", "nan"], "the time budget is nan", 2),
        (["bench", "recall", "fruit", "--queries", "gone.txt"], "no file or folder", 2),
        (["bench", "recall", "fruit", "--queries", "corpus.png"], "of no known kind", 2),
        (["bench", "recall", "fruit", "--queries", "corpus.jsonl", "--k", "0"], "k is 0", 2),
        (
            ["bench", "recall", "fruit", "--queries", "corpus.jsonl", "--recall", "1.5"],
            "wanted is 1.5",
            2,
        ),
        (["bench", "recall", "fruit", "--queries", "q.tsv"], "q.tsv:2: no query", 2),
        (["info", "nowhere"], "no collection at nowhere", 2),
        (["serve", "nowhere"], "no collection and no folder", 2),
        (["serve", "fruit", "--host", "999.1.1.1", "--open-to-all"], "can't listen", 2),
        (["serve", "fruit", "--host", "0.0.0.0"], "others reach 0.0.0.0, and there is no key", 2),
        (["eval", "./nowhere"], "there is no folder './nowhere'", 2),
        (["eval", "fruit"], "not a BEIR folder", 2),
        (["eval", "demo", "--measure", "nDCG", "--measure", "Foo@3"], "unknown measures", 2),
        (["eval", "demo", "--load-run", "gone.run"], "gone.run", 1),
    ],
)
def test_bad_input_is_one_clear_sentence(lsr, tmp_path, corpus, arguments, reason, code):
    (tmp_path / "corpus.png").write_text("x")
    (tmp_path / "q.tsv").write_text("q\tcherry\nno tab\n")
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    result = lsr(*arguments)
    assert reason in sentence(result)
    assert result.returncode == code


def test_wrong_usage_exits_with_2(lsr_process):
    for arguments in (["nonsense"], ["index"], ["search", "x"], ["index", "a", "--nope"]):
        result = lsr_process(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr.decode()


def test_a_missing_model_package_names_its_install_line(tmp_path, corpus, masked_lm):
    code = (
        "import sys; sys.modules['torch'] = None; "
        f"sys.argv = ['lsr', 'index', {str(corpus)!r}, '--into', 'm', "
        f"'--encoder', {str(masked_lm) + ',pool=sum'!r}]; from service.cli import main; main()"
    )
    result = forked.run(["-c", code], cwd=tmp_path, env=environment(tmp_path))
    assert "pip install 'lsr-search[models]'" in sentence(result)
    assert result.returncode == 1


# As where a package was never installed: nothing finds it.
HIDDEN = """
import importlib.machinery, sys
hidden = {package!r}

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [Finder if each is importlib.machinery.PathFinder else each
                    for each in sys.meta_path]
sys.argv = {arguments!r}
from service.cli import main
main()
"""
TRAINING = """
[model]
base = "base"
[optimizer]
steps = 1
[[sources]]
path = "pairs.jsonl"
[[losses]]
name = "info-nce"
[[teachers]]
name = "bm25"
"""
SPAR = """
kind = "spar"
[[sources]]
path = "pairs.jsonl"
[spar]
model = "base"
"""


@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("torch", "sparse"),
        ("torch", "spar"),
        ("transformers", "sparse"),
        ("matplotlib", "spar"),
        ("tomli_w", "spar"),
    ],
)
def test_training_without_its_packages_names_the_install_line(tmp_path, package, kind):
    (tmp_path / "training.toml").write_text(TRAINING if kind == "sparse" else SPAR)
    (tmp_path / "pairs.jsonl").write_text('{"query": "a", "positive": "b"}\n')
    arguments = ["lsr", "train", "training.toml"]
    result = forked.run(
        ["-c", HIDDEN.format(package=package, arguments=arguments)],
        preloaded=forked.PRELOADED if package == "torch" else forked.TORCH,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert "pip install 'lsr-search[train]'" in sentence(result)
    assert package.replace("_", "-") in sentence(result)
    assert result.returncode == 1
    assert not (tmp_path / "base").exists()
