"""The Python of the pages is run, in one namespace a page, beside README's pets.

Blocks with prompts (``>>>``) are sessions, and what they show is compared; others are run as they
are. Where a page's console begins a server, it serves.
"""

import doctest

import pytest

from tests.docs.pages import PORT, blocks, name_of, pages_with, session

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


# What a page is about, where that may be missing.
NEEDED = {"docs/integrations.md": ("langchain_core", "llama_index.core", "haystack")}


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_the_python_of_a_page_does_what_it_shows(terminal_with_pets, free_port, page):
    for package in NEEDED.get(name_of(page), ()):
        pytest.importorskip(package)
    for command, _ in session(page):
        if command.startswith("lsr serve ") and command.endswith(" &"):
            terminal_with_pets.serve(command.removesuffix(" &").replace(PORT, str(free_port)))
    namespace = {}
    for number, block in enumerate(blocks(page, "python"), start=1):
        block = block.replace(f":{PORT}", f":{free_port}")
        where = f"{name_of(page)}, block {number}"
        if ">>> " not in block:
            exec(compile(block, where, "exec"), namespace)
            continue
        examples = doctest.DocTestParser().get_examples(block, where)
        test = doctest.DocTest(examples, {}, where, str(page), 0, block)
        test.globs = namespace
        printed = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS)
        runner.run(test, out=printed.append, clear_globs=False)
        assert not printed, "".join(printed)
