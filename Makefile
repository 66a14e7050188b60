# Everything a fresh machine needs: `make repro` and `make test` set up their own environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# DVC runs `python -m pipeline.…`: the environment's python has to be the first on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup repro test test-cluster test-wheel torture check bench docs record tables clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make the environment in .venv

$(READY): pyproject.toml constraints.txt
	@echo "making the environment in $(VENV): some minutes without output"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

repro: $(READY) ## run the whole pipeline on the data set that params.yaml names (the demo set, at first)
	dvc repro
	@# DVC has last words of its own, so the verdict is said below them: that on the results that are there.
	@wsss watch --once 2>/dev/null || echo "pictures: reports/gallery/index.html"

test: $(READY) ## run all tests
	pytest -n auto --dist loadfile --no-loadscope-reorder

test-cluster: $(READY) ## test Dask, SLURM and object storage: needs root, and apt-get install slurm-wlm munge
	python -c 'import dask_jobqueue, dvc_s3, moto, flask' 2>/dev/null || \
		pip install --quiet --constraint constraints.txt --editable '.[dev-cluster]'
	WSSS_TEST_CLUSTER=1 pytest tests/cluster -n 2 --dist worksteal

test-wheel: $(READY) ## build the wheel, and run the whole pipeline from it, away from this checkout
	WSSS_TEST_WHEEL=1 pytest tests/test_wheel.py

MINUTES ?= 30
torture: $(READY) ## kill stages, flip bits and spoil files for MINUTES
	python -m tests.torture $(MINUTES)

check: $(READY) ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

bench: $(READY) ## measure the ratios of benchmarks/
	python -m benchmarks

docs: $(READY) ## write what the code says of settings and commands, check the pages, and build the site
	wsss explain --markdown > docs/settings.md
	wsss explain --schema > docs/params.schema.json
	python -m manual.commands
	python -m manual.diagrams
	python -m manual.check
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

record: $(READY) ## run the tutorial anew and write its outputs: make record MSRC=/absolute/path/of/msrc_v2
	MSRC=$(MSRC) python -m manual.record docs/quickstart.md

tables: $(READY) ## write the tables of results and notebook in docs/ anew, from experiments/results
	python -m experiments.pages

clean: ## delete the environment, the site and unfinished work
	rm -rf $(VENV) .scratch site
