# Two commands do it all: `make sweep` runs the main job, `make test` the tests. Both install first.
.DEFAULT_GOAL := help
.PHONY: help install sweep demo test lint docs notebook reproduce sanitize faults clean

PYTHON ?= python3
TASK   ?= glyphs
HOURS  ?= 8
SEEDS  ?= 3
VENV   := .venv
# The run of the demo: the best published one whose initialisation is there.
INITIAL = $(wildcard results/published/$(1)/initialisation.npz)
DEMO   ?= $(if $(call INITIAL,omniglot_5way/reptile_seed0),omniglot_5way/reptile_seed0,omniglot_5way_2000/seed0)
RUN    := $(VENV)/bin/python

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PLAN=1 only lists what reproduce would run, HOURS=0 only writes its page, INTO=DIR starts afresh there"
	@echo "  TASK=omniglot sweeps over Omniglot; OVERRIDES='seed=0,1,2' is passed on to the sweep"

install: $(VENV)/installed  ## create .venv with the pinned dependencies (nothing to do the second time)

$(VENV)/installed: requirements.lock pyproject.toml setup.py $(wildcard benchmark/native/*.cpp benchmark/native/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: PYTHON=$(PYTHON): must be Python 3.11, 3.12 or 3.13"; exit 1; }
	@echo "Installing into $(VENV): about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(RUN) -m pip check
	@touch $@

sweep: install  ## run the main job: a sweep of Reptile and its reference lines, ending in a table
	@$(RUN) -m benchmark --multirun +experiment=main task=$(TASK) $(OVERRIDES)

demo: install  ## write the page on which you draw characters and a network learns them
	@$(RUN) -m benchmark.page $(DEMO) --output outputs/draw.html

test: export PYTHONDONTWRITEBYTECODE :=  # or each of the many processes compiles the project anew
test: lint  ## format check, lint, type check and all tests
	@$(RUN) -m pytest -n auto --dist loadfile

lint: install
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m mypy

docs: install  ## remake the tables and figures of README.md and docs/ from the committed records
	@$(RUN) -m scripts.docs
	@$(RUN) -m results.reproduction

notebook: install  ## run docs/first_steps.ipynb and keep what it prints
	@$(RUN) -m scripts.notebook

reproduce: install  ## spend HOURS=8 on what is missing of the paper, then write docs/reproduction.md
	@$(RUN) -m benchmark.studies.reproduce --hours '$(HOURS)' --seeds '$(SEEDS)' $(if $(PLAN),--plan) $(if $(INTO),--into '$(INTO)')

SANITIZED := build/sanitized
CHECKS    := -fsanitize=address,undefined -fno-sanitize-recover=all
sanitize: install  ## run the native library's tests under the address and undefined-behaviour sanitizers
	@rm -rf $(SANITIZED) && mkdir -p $(SANITIZED)
	@cp -R benchmark tasks results conf tests setup.py pyproject.toml README.md LICENSE $(SANITIZED)
	@cd $(SANITIZED) && rm -f benchmark/native/*.so && \
	  OPTIMIZE=-O1 CXX=g++ CXXFLAGS='$(CHECKS)' LDFLAGS='$(CHECKS)' $(abspath $(RUN)) setup.py --quiet build_ext --inplace && \
	  grep -q asan benchmark/native/*.so && \
	  ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	  $(abspath $(RUN)) -m pytest -q tests/test_native.py

faults: install  ## kill runs at random moments and damage their files: every number must come out the same
	@$(RUN) -m pytest -q -s tests/faults.py

clean:  ## remove the environment and the caches, never outputs/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info
