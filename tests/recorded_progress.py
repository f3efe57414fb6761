"""What a run that indexes or encodes tells of its progress."""

from copy import copy

from lsr.encoding.progress import Progress


class RecordedProgress(Progress):
    """Keeps all it is told: reports as of each chunk, sentences, and (name, health, when).

    The last counts the documents that were encoded and told of before. ``then`` takes the report
    after each chunk.
    """

    def __init__(self, then=lambda report: None):
        self.chunks, self.sentences, self.healths = [], [], []
        self._then = then

    def chunk(self, totals):
        self.chunks.append(copy(totals))
        self._then(totals)

    def rejected(self, sentence):
        self.sentences.append(sentence)

    def health(self, name, health):
        encoded = self.chunks[-1].encoded if self.chunks else 0
        self.healths.append((name, health, encoded))
