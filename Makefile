# make demo   the whole workflow over a synthetic archive      make test    every test
# make serve  a Prefect server with its page, a worker and the deployments, until Ctrl-C (PORT=4200)
# make lint   format, lint, types, import rules                make quick   the tests that take seconds
# make chaos  a crash, a full disk, a flipped bit and another run at every step of every command; make test tries a sample
# make cluster-test   a Prefect server and worker, a Ray head and two workers and an S3 gateway, each on a machine of its
#                     own made of network namespaces, at work; needs root and Linux, and is part of make test as well
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo serve test quick chaos cluster-test lint bench clean
.DELETE_ON_ERROR:
# The installation leaves byte-code to the first import. Where that may not write it, every process compiles anew.
unexport PYTHONDONTWRITEBYTECODE
.NOTPARALLEL: # the stamps share .venv, and the tests want both cores

demo: .venv/base
	$(BIN)/sdt demo

PORT ?= 4200
serve: .venv/base
	@$(BIN)/python -m flows.serve --port $(PORT)

# Two at a time, as tests/conftest.py shares them out: the files with services first, each whole. Four took longer, and half
# as much again of the processors: starting Ray four times at once costs more than waiting for it.
test: .venv/dev
	$(BIN)/pytest -n 2 --no-loadscope-reorder

quick: .venv/dev
	$(BIN)/pytest -n 2 -m "not (ray or prefect or process or cluster or long)"

cluster-test: .venv/dev
	$(BIN)/pytest tests/cluster -s

chaos: .venv/dev
	SDT_CHAOS=whole $(BIN)/pytest tests/chaos -s

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev
	$(BIN)/python -m benchmarks

# The two stamps make a second run install nothing.
.venv/dev: EXTRAS := [dev]
.venv/base .venv/dev: pyproject.toml deploy/constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python deploy/install.py '.$(EXTRAS)'
	@touch .venv/base $@

clean:
	rm -rf .venv .sdt .prefect workspace build *.egg-info
