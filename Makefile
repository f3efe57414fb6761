# make demo   set up what searching needs, index the demo collection, search it, serve it (SERVE=0: don't serve)
# make test   set up, run the tests (JOBS=2 processes, a file of tests to one of them)
# make lint   set up, ruff and mypy --strict
# make sanitized   build the C++ cores and their tests with sanitizers
# make packaged-model FROM=FOLDER   put an exported encoder into the package, under that name (NAME=lsr-tiny-v2)
PYTHON ?= python3
SERVE ?= 1
JOBS ?= 2
NAME ?= lsr-tiny-v2
BIN := .venv/bin
# What a search needs, and what developing needs on top: torch, FAISS, test tools.
BASE := .venv/.base
READY := .venv/.ready
CORE := CMakeLists.txt $(wildcard index/core/*.cpp index/core/*.hpp lsr/core/*.cpp lsr/core/*.hpp)

# pip compiles on one core, and all of it: left out here is what nothing imports, or hardly anything,
# and is compiled where it is imported after all.
BYTECODE ?= 1
SELDOM := /(tests?|testing|pip|setuptools|pyserini|openai|onnxruntime|playwright|fontTools|sympy|ray|mteb|nltk
SELDOM := $(SELDOM)|beartype|polars|Cython|fastmcp|graphql|mypyc?|pygments/lexers|transformers/models|torch/_inductor)/
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '$(SELDOM)' .venv/lib || true

# The evaluator of lsr-benchmark, for a test. What else it requires is there, but for tirex-tracker,
# whose bounds exclude what others need, and which evaluating doesn't use.
LSR_BENCHMARK := lsr-benchmark tira docker GitPython gitdb smmap

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)")

.PHONY: setup bytecode demo test test-slow lint sanitized packaged-model clean

setup: $(READY)

$(BASE): pyproject.toml constraints.txt $(CORE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(READY): pyproject.toml constraints.txt $(CORE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[all,test]"
	$(BIN)/python -m pip install --quiet --no-compile --no-deps $(LSR_BENCHMARK)
	rm -rf .venv/lib/python*/site-packages/tests  # Tira's own, which would hide those of this tree
	$(if $(filter 0,$(BYTECODE)),,$(COMPILE))
	touch $(BASE) $@

bytecode:
	$(COMPILE)

demo: $(BASE)
	$(BIN)/lsr demo $(if $(filter 0,$(SERVE)),--no-serve)

# With byte code kept: processes that tests start would compile all they import anew.
test: setup
	PYTHONDONTWRITEBYTECODE= HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test-slow: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

# Needs no Python package; built once and then kept up to date.
sanitized:
	cmake -S . -B build/sanitized -DLSR_CORE_ONLY=ON -DLSR_SANITIZE=address,undefined
	cmake --build build/sanitized --parallel

packaged-model: setup
	$(BIN)/python -m lsr.encoders.packaged "$(NAME)" "$(FROM)"

clean:
	rm -rf .venv build
