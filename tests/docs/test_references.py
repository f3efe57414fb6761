"""What the pages name exists: files, headings, commands and their options, make targets."""

import os
import re
import shlex
import shutil
import subprocess

import click
import pytest
from click.testing import CliRunner

from service.cli import cli
from tests.docs.pages import PAGES, README, ROOT, blocks, name_of, session

PACKAGES = ("lsr", "index", "eval", "service")
OF_OTHER_TOOLS = {
    "--constraint",  # pip
    "--rm",
    "--detach",
    "--profile",  # docker
    "--from-literal",  # kubectl
    "--system",
    "--home-dir",
    "--now",  # useradd, systemctl
    "--data-binary",
    "--data-urlencode",  # curl
}
every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def commands(group, path=()):
    """(names, command) of every command, those of groups included."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def options(command):
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


def without_blocks(page):
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page):
    """The headings as GitHub's anchors."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_every_path_that_is_named_exists(page):
    roots = "|".join((*PACKAGES, "benches", "tests", "docs"))
    for path in re.findall(rf"`((?:{roots})/[\w./-]*)`", page.read_text()):
        assert (ROOT / path).exists(), path


@every_page
def test_every_option_that_is_named_exists(page):
    known = OF_OTHER_TOOLS | options(cli)
    for _, command in commands(cli):
        known |= options(command)
    for bench in (ROOT / "benches").rglob("*.py"):
        known |= set(re.findall(r'"(--[a-z-]+)"', bench.read_text()))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text())) <= known


@every_page
def test_every_command_that_is_named_exists(page):
    assert set(re.findall(r"`lsr ([a-z]+)", page.read_text())) <= set(cli.commands)


@every_page
def test_every_command_line_has_options_of_its_command(page):
    known = dict(commands(cli))
    lines = [step.command.split("\n")[0] for step in session(page)]
    for language in ("sh", ""):
        lines += "\n".join(blocks(page, language)).splitlines()
    for line in lines:
        if not line.startswith("lsr "):
            continue
        words = shlex.split(line, comments=True)[1:]
        name = tuple(words[:1]) if tuple(words[:2]) not in known else tuple(words[:2])
        assert name in known, line
        long = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert long <= options(known[name]), line


def test_every_command_explains_itself():
    for name, command in commands(cli):
        result = CliRunner().invoke(cli, [*name, "--help"])
        assert result.exit_code == 0
        assert command.help
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                assert option.help, (name, option.name)


@every_page
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    code = "\n".join([*re.findall(r"`([^`\n]+)`", page.read_text()), *blocks(page, "sh")])
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets


def test_the_readme_is_short_and_leads_to_every_page():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    pages = [page for page in PAGES[1:] if page.parent.name != "decisions"]
    for page in pages:
        assert f"({name_of(page)})" in text, page


def test_the_decisions_are_listed():
    folder = ROOT / "docs" / "decisions"
    text = (folder / "README.md").read_text()
    for page in folder.glob("0*.md"):
        assert f"({page.name})" in text, page


def test_the_architecture_has_every_folder():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for package in PACKAGES:
        files = [*(ROOT / package).rglob("*.py"), *(ROOT / package).rglob("*.hpp")]
        for folder in {path.parent.relative_to(ROOT) for path in files}:
            assert f"`{folder}/`" in text, folder


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_the_demo_sets_up_what_it_needs_and_no_more():
    # Not as a part of the make that runs these tests.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-nB", "demo", "SERVE=0"]
    shown = subprocess.run(
        command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True
    ).stdout
    installed = re.findall(r"pip install .*--editable (\S+)", shown)
    assert installed == ["."]
    assert shown.splitlines()[-1].endswith("lsr demo --no-serve")
