"""Highlights the plain way: every run of every answer goes through the tokenizer anew."""

import re
from collections import Counter
from itertools import accumulate, groupby
from typing import NamedTuple

from index.search.highlight import LONGEST_SCANNED, Highlight, _word_start

RUN = re.compile(r"\s*\S+")
UNIT = 1 << 30


class Word(NamedTuple):
    start: int
    end: int
    pieces: tuple[tuple[str, int], ...]


class PlainHighlighter:
    def __init__(self, encoder, terms, scanned, tokenized):
        self.encoder, self.terms = encoder, frozenset(terms)
        self.scanned, self.tokenized = scanned, tokenized
        spelled = {encoder.spelled_part(term) for term in self.terms}
        self.spellings = None if "" in spelled else spelled
        self.known = {}

    def highlight(self, field, text, weights, length):
        words, looked_at = self.matched_words(text, weights) if weights else ([], len(text))
        start = best_start(words, weights, length) if len(text) > length else 0
        start = _word_start(text, start)
        end = start + length if start + length < len(text) else len(text)
        if end < len(text) and (space := text.rfind(" ", start + length // 2, end)) > 0:
            end = space
        spans = [(a - start, b - start) for a, b, _ in words if a >= start and b <= end]
        looked_at = looked_at if looked_at < len(text) else None
        return Highlight(field, text[start:end], spans, looked_at)

    def matched_words(self, text, weights):
        reach = min(len(text), LONGEST_SCANNED, self.scanned)
        self.scanned -= reach
        runs = RUN.findall(text[:reach].rstrip())
        for place, run in enumerate(runs):
            if not self.look_up(run):
                runs = runs[:place]
                reach = sum(map(len, runs))
                break
        words = []
        for run, end in zip(runs, accumulate(map(len, runs)), strict=True):
            offset = end - len(run)
            for start, stop, terms in matched(self.known[run], weights):
                words.append((offset + start, offset + stop, terms))
        return words, reach

    def look_up(self, run):
        if run in self.known:
            return True
        plain = run.isascii() and self.spellings is not None
        if plain and not any(part in run.lower() for part in self.spellings):
            self.known[run] = ()
            return True
        if len(run) > self.tokenized:
            return False
        self.tokenized -= len(run)
        self.known[run] = words_of(self.encoder, run)
        return True


def words_of(encoder, text):
    words = []
    for _, group in groupby(encoder.occurrences(text), key=lambda piece: piece.word):
        pieces = list(group)
        lengths = tuple((piece.token, piece.end - piece.start) for piece in pieces)
        words.append(Word(pieces[0].start, pieces[-1].end, lengths))
    return sorted(words, key=lambda word: (word.start, -word.end))


def matched(words, weights):
    found = []
    for start, end, pieces in words:
        here = [(term, length) for term, length in pieces if term in weights]
        if here and 2 * sum(length for _, length in here) >= end - start:
            terms = frozenset(term for term, _ in here)
            if found and start < found[-1][1]:
                first, last, others = found.pop()
                start, end, terms = first, max(end, last), terms | others
            found.append((start, end, terms))
    return found


def best_start(words, weights, length):
    units = {term: round(UNIT * weight) for term, weight in weights.items()}
    inside = Counter()
    weight = best = best_start = last = 0
    for place, (start, _, leaving) in enumerate(words):
        last = max(last, place)
        while last < len(words) and words[last][1] <= start + length:
            for term in words[last][2]:
                weight += 0 if inside[term] else units[term]
                inside[term] += 1
            last += 1
        if weight > best:
            best, best_start = weight, start
        for term in leaving if place < last else ():
            inside[term] -= 1
            weight -= 0 if inside[term] else units[term]
    return max(0, best_start - length // 8)
