import hashlib
import subprocess
import sys
import time

import pytest

from lsr.errors import InputError, NotFoundError
from service.state.database import StateDatabase
from service.state.keys import SCOPES, Keys


@pytest.fixture
def state(tmp_path):
    made = StateDatabase(tmp_path / "server.sqlite")
    yield made
    made.close()


@pytest.fixture
def keys(state):
    made = Keys(state)
    yield made
    made.close()


def test_a_key_is_found_by_its_token_which_is_in_no_file(keys, state):
    assert not keys.exist()
    key, token = keys.create("box", ["write", "metrics"], ["docs-*", "news"], time.time() + 60)
    assert keys.exist()
    assert keys.find(token) == key == keys.all()[0]
    assert token.endswith(key.ending)
    (row,) = state.rows("SELECT digest FROM keys")
    assert row["digest"] == hashlib.sha256(token.encode()).digest()
    for wrong in ("", token[:-1], token + "x", token.upper(), key.id, "x" * 100_000, "\ud800", "ü"):
        assert keys.find(wrong) is None


def test_no_token_is_in_a_file(tmp_path):
    state = StateDatabase(tmp_path / "server.sqlite")
    keys = Keys(state, "a-secret-of-20-characters")
    tokens = [keys.create("k")[1], "a-secret-of-20-characters"]
    keys.close()
    state.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"search" in written
    assert not any(token[4:].encode() in written for token in tokens)


def test_tokens_have_256_bits_and_are_never_the_same(keys):
    tokens = {keys.create("k")[1] for _ in range(50)}
    assert len(tokens) == 50
    assert {len(token) for token in tokens} == {len("lsr_") + 43}


def test_what_another_process_does_holds_at_once(keys, state):
    key, token = keys.create("k")
    assert keys.find(token) == key
    code = """
import sys
from pathlib import Path
from service.state.database import StateDatabase
from service.state.keys import Keys
keys = Keys(StateDatabase(Path(sys.argv[1])))
if sys.argv[2]:
    keys.revoke(sys.argv[2])
else:
    print(keys.create("other")[1])
"""

    def other(identifier):
        command = [sys.executable, "-c", code, str(state.path), identifier]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    made = other("")
    assert keys.find(made).name == "other"
    assert keys.find(token) == key
    other(key.id)
    assert keys.find(token) is None
    keys.revoke(keys.find(made).id)
    assert keys.find(made) is None
    assert not keys.exist()
    with pytest.raises(NotFoundError, match="no key"):
        keys.revoke(key.id)


@pytest.mark.parametrize(
    ("scope", "included"),
    [
        ("search", {"search"}),
        ("write", {"search", "write"}),
        ("admin", set(SCOPES)),
        ("metrics", {"metrics"}),
        ("mcp", {"mcp"}),
    ],
)
def test_a_higher_scope_includes_the_lower(keys, scope, included):
    key, _ = keys.create("k", [scope])
    assert {each for each in SCOPES if key.has(each)} == included


def test_patterns_are_of_whole_names_and_of_case(keys):
    key, _ = keys.create("k", indexes=["docs-*", "a?c", "plain"])
    assert [name for name in ("docs-", "docs-1", "abc", "plain") if not key.reaches(name)] == []
    assert [
        name for name in ("docs", "xdocs-1", "Docs-1", "ac", "plain2", "") if key.reaches(name)
    ] == []
    assert not key.is_of_every_index
    assert keys.create("k")[0].is_of_every_index


def test_a_key_expires(keys, monkeypatch):
    key, token = keys.create("k", expires=time.time() + 100)
    assert not keys.find(token).is_expired()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100.001)
    assert keys.find(token).is_expired()
    assert keys.exist()
    assert keys.all() == [key]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "x" * 201}, "needs a name"),
        ({"name": "a\nb"}, "needs a name"),
        ({"scopes": []}, "needs a scope"),
        ({"scopes": ["root"]}, "'root' is no scope; there are: search, write, admin"),
        ({"indexes": []}, "1 to 100 patterns"),
        ({"indexes": ["a"] * 101}, "1 to 100 patterns"),
        ({"indexes": ["a\nb"]}, "is no pattern"),
        ({"indexes": [""]}, "is no pattern"),
        ({"expires": 1.0}, "in the past"),
        ({"expires": float("nan")}, "in the past"),
        ({"expires": 1e12}, "year 9999"),
    ],
)
def test_what_is_malformed_makes_no_key(keys, given, reason):
    with pytest.raises(InputError, match=reason):
        keys.create(**{"name": "k"} | given)
    assert not keys.exist()


def test_an_admin_key_is_in_no_file(state):
    keys = Keys(state, "a-secret-of-20-characters")
    assert keys.exist()
    assert keys.find("a-secret-of-20-characters").has("admin")
    assert keys.find("a-secret-of-20-character") is None
    assert keys.all() == []
    keys.close()
