# make            what there is to make
# Everything runs in .venv, which is made on first use and brought up to date when pyproject.toml changes.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DEMO   ?= demo
# the machine's cores, two at most: a worker needs about a gigabyte
WORKERS ?= 2
CODE    = src tests benchmarks tools

.DEFAULT_GOAL := help
.PHONY: help demo test test-triton check docs bench claims clean

help:  ## this list
	@echo "likewise: learn embeddings from what is alike"
	@echo
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: $(VENV)/.test  ## train SimCLR and DCL on real images, compare them, write pages (about 5 minutes on 2 cores)
	@$(BIN)/python tools/demo.py $(DEMO)

test: $(VENV)/.test  ## every test, on the CPU (about 10 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-triton: .peers/triton/.made  ## the GPU kernels on the CPU, in Triton's interpreter (its environment takes 2 GB)
	OMP_NUM_THREADS=1 TRITON_INTERPRET=1 .peers/triton/bin/python -m pytest tests/similarity/test_triton.py $(ARGS)

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy

docs: $(VENV)/.dev  ## the documentation site, into build/site
	$(BIN)/python tools/build_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "docs     build/site/index.html"

bench: $(VENV)/.dev  ## the benchmarks, every script of benchmarks/
	@for file in $(filter-out %peers.py %_report.py,$(wildcard benchmarks/*.py)); do echo "$$file"; $(BIN)/python $$file || exit 1; done

claims: $(VENV)/.test  ## re-run the papers' claims (hours); results go to benchmarks/claims
	$(BIN)/likewise claim all

clean:  ## remove what make made, the environment included
	rm -rf $(VENV) $(DEMO) build site .pytest_cache .mypy_cache .ruff_cache src/*.egg-info

# torch goes first and alone: see tools/install_torch.py
$(VENV)/.torch: tools/install_torch.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install_torch.py $(TORCH)
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.peers/triton/.made: tools/install_torch.py pyproject.toml
	test -x .peers/triton/bin/python || $(PYTHON) -m venv .peers/triton
	.peers/triton/bin/python tools/install_torch.py $(TORCH)
	.peers/triton/bin/python -m pip install --quiet --editable '.[gpu]' pytest pytest-timeout hypothesis beartype
	@touch $@
