# What people type. Every target works on a fresh clone: it makes the environment it needs the first time.
RECIPE ?= recipes/demo.toml
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
ONESTAGE := $(VENV)/bin/onestage
ACCELERATOR := $(if $(shell command -v nvidia-smi),,DS_ACCELERATOR=cpu)

.PHONY: help unify forecast train test pipeline sampling cards serve bench check clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

unify: $(VENV)/ready ## raw texts -> pairs and their data card (RECIPE=recipes/demo.toml)
	$(ONESTAGE) run $(RECIPE) --through rewrite

forecast: $(VENV)/ready ## what `make unify` would cost: requests, tokens, time, money
	$(ONESTAGE) run $(RECIPE) --dry-run

train: $(VENV)/ready ## raw texts -> a trained model
	$(ONESTAGE) run $(RECIPE)
	$(ACCELERATOR) $(VENV)/bin/python -m training.launch $(RECIPE)
	$(ONESTAGE) cards $(RECIPE)

test: $(VENV)/ready-dev ## the tests, with a real model server and real DeepSpeed
	$(ACCELERATOR) $(VENV)/bin/python -m pytest

pipeline: $(VENV)/ready ## raw texts -> clean, unique passages
	$(ONESTAGE) run $(RECIPE) --through dedup

sampling: $(VENV)/ready ## through mixing, ordering and packing
	$(ONESTAGE) run $(RECIPE) --through pack

cards: $(VENV)/ready ## render the data card again, also while rewriting runs
	$(ONESTAGE) cards $(RECIPE)

serve: $(VENV)/ready ## start the recipe's model server and stay
	$(ONESTAGE) serve $(RECIPE)

bench: $(VENV)/ready-bench ## speed of every stage of the corpus, and dedup beside its peers
	$(VENV)/bin/python -m benchmarks.bench_stages
	$(VENV)/bin/python -m benchmarks.bench_dedup

check: $(VENV)/ready-dev ## formatting, lint, types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean: ## remove the environments and caches; never data/
	rm -rf $(VENV) .venv-server .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# torch goes first, alone: deepspeed's set-up asks for it, and nothing after may choose another build.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "onestage: got Python %d.%d, expected 3.11 or newer" % sys.version_info[:2])'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet "$$($(VENV)/bin/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"][0])')"
	$(ACCELERATOR) $(VENV)/bin/pip install --quiet --editable .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(ACCELERATOR) $(VENV)/bin/pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/ready-bench: $(VENV)/ready
	$(ACCELERATOR) $(VENV)/bin/pip install --quiet --editable '.[bench]'
	touch $@
