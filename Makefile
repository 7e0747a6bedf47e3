# Gongfu: the few commands of a developer. Needs Python 3.11 or newer with venv, make and git.
# The Python that makes the virtual environment; `make PYTHON=/path/to/python` names another.
export PYTHON
FIND_PYTHON := set -e; python=$$(packaging/find-python);
VENV := .venv/bin
AREA ?= ingest

.PHONY: help demo demo-cluster demo-tree test check format bench build console install lock clean

help:
	@echo "make demo     run a node with a live plant and a recorded machine (console: see its last lines)"
	@echo "make demo-cluster  three NATS servers, PostgreSQL, history nodes and two machines here; kill what you like"
	@echo "make demo-tree  nation, province, two enterprises and three sites as seven nodes here; kill what you like"
	@echo "make test     everything CI runs: lint, types, unit, contract and system tests"
	@echo "make check    lint and types only"
	@echo "make bench    AREA=$(AREA): run benchmarks/<AREA>"
	@echo "make build    wheel with the console in dist/"
	@echo "make install  virtual environment for development, and pre-commit hooks"
	@echo "make lock     write requirements/*.txt anew"
	@echo "make clean    remove what was built, and the demo's data"

demo:
	@$(FIND_PYTHON) $$python packaging/install.py --python demo --console
	@exec $(VENV)/python -m demo $(DEMO)

demo-cluster:
	@$(FIND_PYTHON) $$python packaging/install.py --python demo --console
	@exec $(VENV)/python -m demo.cluster $(DEMO)

demo-tree:
	@$(FIND_PYTHON) $$python packaging/install.py --python demo --console
	@exec $(VENV)/python -m demo.tree $(DEMO)

test:
	@bash .ci/run

check:
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/lint-imports
	$(VENV)/pyright
	$(FIND_PYTHON) node=$$($$python packaging/install.py --where-node); cd console; \
	    PATH="$$node:$$PATH" node node_modules/vue-tsc/bin/vue-tsc.js --noEmit

format:
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

bench:
	$(VENV)/python -m benchmarks.$(AREA) $(BENCH)

console:
	@$(FIND_PYTHON) $$python packaging/install.py --console

install:
	@$(FIND_PYTHON) $$python packaging/install.py --python dev --console
	@$(VENV)/pre-commit install

build: console
	@$(FIND_PYTHON) $$python packaging/install.py --python dev
	$(VENV)/python -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

lock:
	requirements/compile $(LOCK)

clean:
	rm -rf build dist *.egg-info gongfu/web/static console/node_modules console/.vite .venv-node .venv-thingsboard .venv-zig .demo .demo-tree
	find . -name __pycache__ -type d -prune -not -path './.venv/*' -exec rm -rf {} +
