"""The Python of the pages is run, in one namespace a page, beside README's pets.

Blocks with prompts (``>>>``) are sessions, and what they show is compared; others are run as they
are.
"""

import doctest

import pytest

from tests.docs.pages import blocks, name_of, pages_with

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
@pytest.mark.usefixtures("terminal_with_pets")
def test_the_python_of_a_page_does_what_it_shows(page):
    namespace = {}
    for number, block in enumerate(blocks(page, "python"), start=1):
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
