# `make` shows what there is. Everything runs in the environment .venv, which `make setup` creates.

PROFILE = quick
DATA = auto
JOBS =
PARAMS =
WORKERS =
CLUSTER =
ONLY =
REPEATS = 3
PYTHON = $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)

SHELL = /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL = help

PY = .venv/bin/python
ENVIRONMENT = .venv/.installed
BENCH_PY = .venv-benchmark/bin/python
BENCHMARKS = .venv-benchmark/.installed
SERVERS_PY = .venv-servers/bin/python
RUNNER = $(PY) -m mialib.runs
NOTEBOOKS = $(sort $(patsubst notebooks/%.ipynb,%,$(wildcard notebooks/[0-9][0-9]_*.ipynb)))
COMMANDS = help setup audit data lab reproduce estimate summary list figures site benchmark test test-browser test-servers mutants lint lock clean
# Variables of the command line that are no options are parameters of notebooks: N_SHADOWS=20 is handed on as -p N_SHADOWS 20.
OPTIONS = PROFILE DATA JOBS PARAMS WORKERS CLUSTER ONLY REPEATS PYTHON SHELL $(if $(filter audit,$(MAKECMDGOALS)),FORCE $(AUDITED)) $(if $(filter site,$(MAKECMDGOALS)),OUT) $(if $(filter test-browser,$(MAKECMDGOALS)),SCREENSHOTS)
AUDITED = MODEL URL MEMBERS NONMEMBERS POOL LABEL GROUPS OUT
GIVEN := $(strip $(foreach name,$(filter-out $(OPTIONS),$(.VARIABLES)),$(if $(findstring command,$(origin $(name))),$(name))))
QUOTE = '$(subst ','\'',$(value $(1)))'
ON_CLUSTER = $(if $(CLUSTER),--cluster $(call QUOTE,CLUSTER))
RUN_OPTIONS = --profile $(PROFILE) --data $(DATA) $(PARAMS) $(foreach name,$(GIVEN),-p $(name) $(call QUOTE,$(name)))
# MODEL=model.skops is handed on as --model model.skops; only what is on the command line, not what the environment may hold.
LOWER = $(shell echo $(1) | tr A-Z a-z)
ASKED = $(foreach name,$(AUDITED),$(if $(findstring command,$(origin $(name))),--$(call LOWER,$(name)) $(call QUOTE,$(name))))
CHECK_PYTHON = import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is %d.%d: make setup PYTHON=/path/to/python" % sys.version_info[:2])
LOCK_HEADER = '\# What the results were made with (written by make lock).' 'appnope==0.1.4 ; platform_system == "Darwin"'
LOCK_EDITS = -e '/^pip==/d' -e 's/\+[a-z0-9.]+$$//' -e 's/^((cuda|nvidia|triton).*)/\1 ; platform_system == "Linux"/'
TOOL_CACHES = .pytest_cache .mypy_cache .ruff_cache build dist mialib.egg-info notebooks/.ipynb_checkpoints

.PHONY: $(COMMANDS) $(NOTEBOOKS)

ifneq (,$(and $(GIVEN),$(filter-out reproduce estimate $(NOTEBOOKS),$(or $(MAKECMDGOALS),help))))
$(error $(GIVEN): no option; there are $(OPTIONS), and parameters with reproduce, estimate or a notebook: `make list` shows them)
endif

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 14
	@echo "NN_name       one notebook: $(NOTEBOOKS)"
	@echo "Options: PROFILE=quick|paper|full|smoke  DATA=auto|real|standin  JOBS=2  CLUSTER=tcp://host:8786  PYTHON=python3.12, and parameters: N_SHADOWS=20"

setup: $(ENVIRONMENT) ## create the environment .venv: exactly the versions of requirements.lock

$(ENVIRONMENT): pyproject.toml requirements.lock
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	@$(PY) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

audit: setup ## audit a model of your own: MODEL=model.skops MEMBERS=in.csv NONMEMBERS=out.csv LABEL=income (OUT=report FORCE=1)
	@$(PY) -m mialib audit $(ASKED) $(ON_CLUSTER) $(if $(findstring command,$(origin FORCE)),--force) $(PARAMS)

data: setup ## get the data sets; says what is real, what is a stand-in, sizes and sources
	@$(PY) -m mialib.data --mode $(DATA)

lab: setup ## JupyterLab on the notebooks, with this environment as its kernel
	JUPYTER_PREFER_ENV_PATH=1 $(PY) -m jupyterlab notebooks

reproduce: data ## data, then all notebooks, side by side on all cores (JOBS=1: one by one); a table of results
	@$(RUNNER) all $(RUN_OPTIONS) $(ON_CLUSTER) $(if $(JOBS),--jobs $(JOBS))

estimate: setup ## what the notebooks would train, and what that takes here and elsewhere (PROFILE=full WORKERS="16 128" ONLY=04_location)
	@$(RUNNER) estimate $(ONLY) $(RUN_OPTIONS) $(if $(WORKERS),--workers $(WORKERS))

summary: setup ## that table, and where results and figures are, without running anything
	@$(RUNNER) summary --profile $(PROFILE)

list: setup ## notebooks and their parameters
	@$(RUNNER) list

$(NOTEBOOKS): setup
	@$(RUNNER) run $@ $(RUN_OPTIONS) $(ON_CLUSTER)

# Another name: what it may have been meant for.
LIKE = $(strip $(foreach name,$(COMMANDS) $(NOTEBOOKS),$(if $(findstring $(basename $(@F)),$(name)),$(name))))
.DEFAULT:
	@echo "no target $@; $(if $(LIKE),do you mean $(LIKE)?,there are $(COMMANDS) $(NOTEBOOKS))" >&2; exit 2

figures: setup ## draw all figures again from the saved tables; trains nothing
	@$(RUNNER) figures

site: setup ## write _site/: the results as pages that open from disk (OUT=folder)
	@$(PY) -m mialib site --out $(if $(findstring command,$(origin OUT)),$(call QUOTE,OUT),_site)

benchmark: $(BENCHMARKS) ## time mialib against other ways to do the same: half an hour (ONLY=W2 REPEATS=5)
	@$(BENCH_PY) -m benchmarks.run --repeats $(REPEATS) $(if $(ONLY),--only $(ONLY))

$(BENCHMARKS): pyproject.toml requirements.lock benchmarks/requirements.txt
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	@$(BENCH_PY) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv-benchmark
	$(BENCH_PY) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BENCH_PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

test: setup ## run the tests, two files at a time, a core each
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore-glob='tests/test_browser_*.py'

# Pages are waited for: apart from the other tests, so that they have the cores. SCREENSHOTS names a folder that keeps pictures.
test-browser: setup ## test JupyterLab and the site in a browser: a few minutes, skipped where no chromium is
	OMP_NUM_THREADS=1 $(if $(SCREENSHOTS),MIALIB_SCREENSHOTS=$(call QUOTE,SCREENSHOTS)) $(PY) -m pytest -n 0 -rs tests/test_browser_*.py

# Python below 3.13 is what MLServer wants. Where it cannot be installed its tests are skipped, and say so.
test-servers: setup ## test against a real server of models, MLServer, in an environment of its own (530 MB)
	@$(SERVERS_PY) -c 'import mlserver_sklearn' 2> /dev/null || { $(PYTHON) -m venv --clear .venv-servers && \
	  $(SERVERS_PY) -m pip install --quiet --disable-pip-version-check -r tests/servers.txt; } || \
	  echo "MLServer cannot be installed here with $(PYTHON): its tests are skipped (PYTHON=python3.11 names another one)" >&2
	$(PY) -m pytest -n 0 -rs tests/test_servers.py

mutants: setup ## change the code in ways that a test must see, one by one (half an hour; not part of test)
	$(PY) tests/mutants.py

lint: setup ## ruff (notebooks too) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

lock: ## write requirements.lock anew from what .venv holds now
	@$(PY) -m pip freeze --all --exclude-editable > requirements.lock.new
	@{ printf '%s\n' $(LOCK_HEADER); sed -E $(LOCK_EDITS) requirements.lock.new; } > requirements.lock
	@rm requirements.lock.new

clean: ## remove what tools leave behind; keeps results, figures, data and .venv (rm -r .venv starts afresh)
	rm -rf $(TOOL_CACHES)
	find mialib tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
