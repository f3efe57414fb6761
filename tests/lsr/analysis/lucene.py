"""Lucene's own analysers, in a Java machine inside this process."""

from functools import cache

from index.engines.java import java_class, start_java


@cache
def _class(name):
    start_java()
    return java_class(name)


@cache
def _analyzer(name):
    if name == "english":
        return _class("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    if name == "cjk":
        return _class("org.apache.lucene.analysis.cjk.CJKAnalyzer")()
    builder = _class("org.apache.lucene.analysis.custom.CustomAnalyzer").builder()
    builder = builder.withTokenizer("standard").addTokenFilter("lowercase")
    if name != "standard":
        filters = _class("java.util.HashMap")()
        filters.put("language", name.capitalize())
        builder = builder.addTokenFilter("snowballPorter", filters)
    return builder.build()


def lucene_terms(name, text):
    """The terms that Lucene's analyser of that name makes of a text."""
    found = _class("io.anserini.analysis.AnalyzerUtils").analyze(_analyzer(name), text)
    return [str(term) for term in found.toArray()]
