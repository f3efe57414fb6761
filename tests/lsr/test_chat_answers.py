"""Answers of a chat endpoint: asked for once, kept, and paraphrases and queries made of them."""

import json
from contextlib import suppress

import pytest

from lsr.chat import ChatEndpoint, ChatError
from lsr.chat_answers import MOST_FAILURES, KeptAnswers, answers_until_written
from lsr.corpus.documents import Document
from lsr.train.augmentation import Augmentation, augment, chat_paraphrase
from lsr.train.chat_queries import ask_for_queries
from lsr.train.pairs import Pair
from tests.index.search.chat_server import ChatServer


def reversed_prompt(prompt):
    return prompt[::-1]


def test_what_was_answered_is_not_asked_again(tmp_path, monkeypatch):
    path = tmp_path / "answers"
    with ChatServer(reversed_prompt).running(monkeypatch) as server:
        answers = KeptAnswers(path, ChatEndpoint.from_environment())
        assert answers(["one", "two", "one"]) == ["eno", "owt", "eno"]
        assert answers(["two", "three"]) == ["owt", "eerht"]
        assert sorted(server.prompts) == ["one", "three", "two"]
        # As a killed process leaves it.
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        again = KeptAnswers(path, ChatEndpoint.from_environment())
        assert again(["one", "two", "three", "four"]) == ["eno", "owt", "eerht", "ruof"]
        assert sorted(server.prompts)[:2] == ["four", "one"]
        assert server.prompts.count("three") == 2
        last = KeptAnswers(path, ChatEndpoint.from_environment())
        assert last(["three", "four"]) == ["eerht", "ruof"]
        assert len(server.prompts) == 5
        # Another model may answer otherwise.
        other = KeptAnswers(path, ChatEndpoint(ChatEndpoint.from_environment().url, "other"))
        other(["one"])
        assert len(server.prompts) == 6


def test_one_failure_is_passed_over_and_many_are_not(tmp_path, monkeypatch):
    broken = ChatServer(lambda prompt: b"{}" if "bad" in prompt else "fine")
    with broken.running(monkeypatch):
        answers = KeptAnswers(tmp_path / "answers", ChatEndpoint.from_environment())
        assert answers(["bad 1", "good", "bad 2"]) == [None, "fine", None]
        assert answers.failed == 2
        with pytest.raises(ChatError, match=r"in a row; 1 answers are kept in .*goes on from"):
            answers([f"bad {number}" for number in range(3, 3 + MOST_FAILURES)])


def test_the_file_goes_when_all_is_written(tmp_path, monkeypatch):
    output = tmp_path / "pairs.jsonl"
    kept = tmp_path / "pairs.jsonl.answers"
    with ChatServer(reversed_prompt).running(monkeypatch):
        with suppress(ChatError), answers_until_written(output) as answers:
            answers(["ab"])
            raise ChatError
        assert json.loads(kept.read_text())["answer"] == "ba"
        with answers_until_written(output) as answers:
            answers(["ab"])
        assert not kept.exists()


def test_sections_in_other_words(tmp_path, monkeypatch):
    def answer(prompt):
        section = prompt.split("\n\n", 1)[1]
        if "broken" in section:
            return b"{}"
        return "long " * 500 if "short" in section else f"[{section}]"

    pair = Pair("Skills:\nC++\n\nOther:\nshort", "broken")
    with ChatServer(answer).running(monkeypatch) as server:
        answers = KeptAnswers(tmp_path / "answers", ChatEndpoint.from_environment())
        paraphrase = chat_paraphrase(answers, 2)
        found = [each.pair for each in augment([pair], Augmentation(copies=2), paraphrase)]
    # Both copies are alike, and what the endpoint fails at stays.
    assert [each.query for each in found] == [pair.query, "Skills:\n[C++]\n\nOther:\nshort"]
    assert {each.positive for each in found} == {"broken"}
    assert any("Wording 2 of 2" in prompt for prompt in server.prompts)


def test_queries_of_documents(tmp_path, monkeypatch):
    documents = [
        Document("a", "Apples are red.", "Fruit"),
        Document("b", "..."),
        Document("c", "C"),
    ]
    listed = "1. what colour are apples\n- what colour are apples\n* 'fruit colours'\n***\n3) more"
    with ChatServer(lambda prompt: listed if "Apples" in prompt else "C").running(
        monkeypatch
    ) as server:
        answers = KeptAnswers(tmp_path / "answers", ChatEndpoint.from_environment())
        found = list(ask_for_queries(documents, answers, 2))
    assert [(each.query, each.positive, each.kind, each.document) for each in found] == [
        ("what colour are apples", "Fruit Apples are red.", "chat", "a"),
        ("fruit colours", "Fruit Apples are red.", "chat", "a"),
    ]
    assert len(server.prompts) == 2
    assert "2 different search queries" in server.prompts[0]
