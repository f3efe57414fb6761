import json
from datetime import UTC, datetime, timedelta

import pytest

from service.state.database import StateDatabase
from service.state.keys import Keys
from tests.service.conftest import sentence


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


def found(folder, token):
    state = StateDatabase(folder / ".lsr" / "server.sqlite")
    keys = Keys(state)
    key = keys.find(token)
    keys.close()
    state.close()
    return key


def test_a_key_is_made_listed_and_revoked(lsr, folder):
    made = lsr(
        "key", "create", "served", "--name", "box [b]", "--index", "docs-*", "--expires", "90d"
    )
    assert made.returncode == 0
    token = made.stdout.decode().strip()
    key = found(folder, token)
    assert (key.name, key.scopes, key.indexes) == ("box [b]", ("search",), ("docs-*",))
    ends = datetime.now(UTC) + timedelta(days=90)
    assert abs(key.expires - ends.timestamp()) < 3600
    assert f"key {key.id} may search on docs-*" in made.stderr.decode()
    listed = lsr("key", "list", "served")
    assert key.id in listed.stdout.decode()
    assert token not in listed.stdout.decode() + made.stderr.decode()
    revoked = lsr("key", "revoke", "served", key.id)
    assert f"revoked {key.id}, box [b]" in revoked.stdout.decode()
    assert "no key is left" in revoked.stdout.decode()
    assert found(folder, token) is None
    assert lsr("key", "list", "served").stdout.decode() == "no key\n"


def test_json_has_all_of_it(lsr, folder):
    options = ["--scope", "write", "--scope", "metrics", "--expires", "2999-01-31T10:00+00:00"]
    made = json.loads(lsr("key", "create", "served", "--name", "k", *options, "--json").stdout)
    assert found(folder, made["token"]).id == made["key"]["id"]
    assert made["key"]["scopes"] == ["write", "metrics"]
    assert made["key"]["expires"] == "2999-01-31T10:00:00Z"
    assert json.loads(lsr("key", "list", "served", "--json").stdout) == [made["key"]]
    revoked = lsr("key", "revoke", "served", made["key"]["id"], "--json")
    assert json.loads(revoked.stdout) == [made["key"]]


def test_a_state_file_is_a_place_too(lsr, tmp_path):
    assert lsr("key", "create", "state.sqlite", "--name", "k").returncode == 0
    assert (tmp_path / "state.sqlite").is_file()
    assert len(json.loads(lsr("key", "list", "state.sqlite", "--json").stdout)) == 1


@pytest.mark.parametrize(
    ("arguments", "reason", "code"),
    [
        (["create", "nowhere", "--name", "k"], "there is no folder nowhere", 2),
        (["create", "fruit", "--name", "k"], "fruit is a collection; name the folder", 2),
        (["create", "served", "--name", "k", "--expires", "soon"], "can't expire 'soon'", 2),
        (["create", "served", "--name", "k", "--expires", "2001-01-01"], "in the past", 2),
        (["create", "served", "--name", "k", "--scope", "root"], "'root' is no scope", 2),
        (["create", "served", "--name", "k", "--index", ""], "'' is no pattern", 2),
        (["list", "served"], "no keys are kept in served", 2),
        (["revoke", "served", "abc"], "no keys are kept in served", 2),
    ],
)
def test_what_is_wrong_is_one_sentence(lsr, folder, corpus, arguments, reason, code):
    if "fruit" in arguments:
        lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    result = lsr("key", *arguments)
    assert reason in sentence(result)
    assert result.returncode == code


def test_of_several_ids_all_are_revoked_or_none(lsr, folder):
    made = json.loads(lsr("key", "create", "served", "--name", "k", "--json").stdout)
    result = lsr("key", "revoke", "served", made["key"]["id"], "nobody")
    assert "no key 'nobody'; nothing was revoked" in sentence(result)
    assert found(folder, made["token"]) is not None
