"""The README's sessions are run, and must print what it says; numbers that vary may differ."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PORT = "8000"


def sessions():
    """[(command, output)] of every console block, in order."""
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.M | re.S):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = step.partition("\n")
            if "<<'END'" in command:
                body, _, output = output.partition("END\n")
                command = f"{command}\n{body}END"
            steps.append((command, output))
    return steps


def pattern(output):
    """What the output must look like: ``...`` stands for anything, numbers for numbers."""
    parts = re.split(r"\.\.\.", re.sub(r" +$", "", output, flags=re.M).strip())
    number = r"[\\d,.]+"
    return ".*".join(re.sub(r"\d[\d,]*(\\\.\d+)?", number, re.escape(part)) for part in parts)


def normal(text):
    return re.sub(r" +$", "", text, flags=re.M).strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's REST session needs curl")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the demo's corpus is Python 3.11's")
def test_the_readme_shows_what_happens(tmp_path, free_port):
    port = str(free_port)
    launcher = tmp_path / "bin" / "lsr"
    launcher.parent.mkdir()
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -m service.cli "$@"\n')
    launcher.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{launcher.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LSR_CACHE": str(tmp_path / "cache"),
    }
    options = {"cwd": tmp_path, "env": environment, "text": True}
    servers = []
    steps = sessions()
    assert len(steps) >= 8
    try:
        nested = 0
        for command, output in steps:
            if command.startswith("lsr search demo"):
                nested += 1  # printed by the demo itself, compared there
                continue
            expected = output
            if command.startswith("lsr demo"):
                shown = [f"$ {c}\n{o}" for c, o in steps if c.startswith("lsr search demo")]
                expected = output + "".join(shown)
            line = command.replace(PORT, port).replace(
                "curl ", "curl --retry-connrefused --retry 40 "
            )
            if line.endswith("&"):
                server = subprocess.Popen(
                    line[:-1].split(), stdout=subprocess.PIPE, **options
                )  # fmt: skip
                servers.append(server)
                server.stdout.readline()
                printed = server.stdout.readline()
                expected = expected.replace(PORT, port)
            else:
                printed = subprocess.run(
                    ["bash", "-c", line], stdout=subprocess.PIPE, check=True, **options
                ).stdout
            assert re.fullmatch(pattern(expected), normal(printed), re.S), (command, printed)
        assert nested
    finally:
        for server in servers:
            server.terminate()
            server.wait()


def commands(group, path=()):
    """(names, command) of every command, those of groups included."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_readme_names_only_options_that_exist():
    from service.cli import cli

    shown = set(re.findall(r"--[a-z][a-z0-9-]+", README))
    benches = {"--rounds", "--steps", "--sizes", "--engines"}
    known = {"--constraint", "--rm", "--data-binary"} | benches  # of pip, docker and curl
    for _, command in commands(cli):
        for option in command.params:
            known |= {*option.opts, *option.secondary_opts}
    assert shown <= known


def test_every_command_explains_itself():
    from service.cli import cli

    for name, command in commands(cli):
        result = CliRunner().invoke(cli, [*name, "--help"])
        assert result.exit_code == 0
        assert command.help
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                assert option.help, (name, option.name)


def test_the_readmes_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


GUIDE = (ROOT / "docs" / "training.md").read_text()


def test_the_training_guide_has_a_configuration_that_is_valid():
    import tomllib

    from lsr.train.config import TrainingConfig
    from lsr.train.config_file import parse_config
    from lsr.train.spar.run import SparTrainingConfig

    sparse, dense = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.M | re.S)
    config = parse_config(tomllib.loads(sparse), TrainingConfig)
    assert config.documents.target_nnz == 120
    assert parse_config(tomllib.loads(dense), SparTrainingConfig).spar.teacher == "bm25"
    for command in re.findall(r"^lsr (.*)$", GUIDE, re.M):
        name, *words = command.split()
        assert_options_exist(name, [word for word in words if word.startswith("--")])


def assert_options_exist(name, options):
    from service.cli import cli

    known = {option for param in cli.commands[name].params for option in param.opts}
    assert {*options} <= known


def settings_of_the_guide():
    """{table: {setting: default as written}} of the guide's tables."""
    part = GUIDE.partition("## All settings")[2].partition("\n## The exported")[0]
    found, tables = {}, [""]
    for line in part.splitlines():
        if line.startswith("`["):
            tables = re.findall(
                r"`\[+([\w.]+)\]+`", line.partition(" with ")[0].partition(" for ")[0]
            )
        row = re.match(r"\| `(\w+)` \|(.*?)\|", line)
        if row:
            for table in tables:
                found.setdefault(table, {})[row[1]] = row[2].strip(" `")
    return found


def test_the_training_guide_names_every_setting_and_its_default():
    import dataclasses
    import json

    from lsr.train import config, decoder_student
    from lsr.train.spar import config as spar

    tables = {
        "": config.TrainingConfig,
        "model": config.ModelConfig,
        "model.lora": decoder_student.LoraConfig,
        "model.decoder": decoder_student.DecoderStudentConfig,
        "sources": config.SourceConfig,
        "losses": config.LossConfig,
        "teachers": config.TeacherConfig,
        "documents": config.SparsityConfig,
        "queries": config.SparsityConfig,
        "batches": config.BatchConfig,
        "mining": config.MiningConfig,
        "optimizer": config.OptimizerConfig,
        "evaluation": config.EvaluationConfig,
        "memory": config.MemoryConfig,
        "spar": spar.SparConfig,
    }
    written = settings_of_the_guide()
    assert written.keys() == tables.keys()
    for table, kind in tables.items():
        fields = {
            field.name: field.default
            for field in dataclasses.fields(kind)
            if f"{table}.{field.name}".strip(".") not in tables
        }
        assert written[table].keys() == fields.keys()
        for name, value in fields.items():
            shown = written[table][name]
            if value is dataclasses.MISSING:
                assert not shown or name == "targets"
            else:
                assert json.loads(shown) == value, (table, name)
