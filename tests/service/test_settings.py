import json
from pathlib import Path

import pytest

from lsr.errors import NotFoundError, UsageError
from service.settings import ServerSettings


def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path, monkeypatch):
    file = tmp_path / "lsr.toml"
    file.write_text('host = "10.0.0.1"\nport = 1\ndeadline_ms = 70\n')
    monkeypatch.setenv("LSR_SERVE_PORT", "2")
    monkeypatch.setenv("LSR_SERVE_HOST", "10.0.0.2")
    monkeypatch.setenv("LSR_SERVE_ALLOW_HOST", json.dumps(["a", "b"]))
    settings = ServerSettings.load({"host": "10.0.0.3"}, file)
    assert (settings.host, settings.port, settings.deadline_ms) == ("10.0.0.3", 2, 70)
    assert settings.allow_host == ["a", "b"]
    assert type(settings) is ServerSettings


def test_what_is_printed_is_read_as_the_same(tmp_path):
    settings = ServerSettings(paths=[Path('a"b\\c'), Path("ü\n")], port=0, reranker=["x"])
    file = tmp_path / "lsr.toml"
    file.write_text(settings.to_toml())
    assert ServerSettings.load({}, file) == settings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 1", "there is no setting 'prot' of a server; there are: paths, host, port"),
        ("port = 65536", "the setting 'port' of the server: Input should be less than or equal"),
        ('port = "secret"', "the setting 'port' of the server: Input should be a valid integer"),
        ("port =", "the settings of"),
    ],
)
def test_a_setting_that_is_wrong_is_one_sentence(tmp_path, text, sentence):
    file = tmp_path / "lsr.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=sentence) as raised:
        ServerSettings.load({}, file)
    assert "secret" not in str(raised.value)
    with pytest.raises(NotFoundError):
        ServerSettings.load({}, tmp_path / "none.toml")


def test_an_admin_key_is_told_to_nobody(tmp_path, monkeypatch):
    secret = "a-secret-of-20-characters"
    monkeypatch.setenv("LSR_SERVE_ADMIN_KEY", secret)
    settings = ServerSettings.load({})
    assert settings.admin_token == secret
    assert secret not in settings.to_toml() + repr(settings) + str(settings.model_dump_json())
    file = tmp_path / "lsr.toml"
    file.write_text(settings.to_toml())
    assert ServerSettings.load({}, file).admin_token == secret
    monkeypatch.setenv("LSR_SERVE_ADMIN_KEY", "")
    assert ServerSettings.load({}, file).admin_key is None
    for wrong in (
        "short",
        "spaces are none of a key",
        "umlaute-sind-keine-ü",
        "a-line\nbreak-in-the-middle",
    ):
        monkeypatch.setenv("LSR_SERVE_ADMIN_KEY", wrong)
        with pytest.raises(UsageError, match="'admin_key' of the server") as raised:
            ServerSettings.load({})
        assert wrong not in str(raised.value)
