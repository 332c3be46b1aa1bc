# Two commands matter: `make run` and `make test`. Everything is made once and again only when its sources change.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export CORDON_DATA ?= $(CURDIR)/var

.PHONY: run demo test pictures clean

run: $(VENV)/.ready webapp/dist/.ready
	@$(BIN)/cordon migrate
	@$(BIN)/cordon demo
	@$(BIN)/cordon run

demo: $(VENV)/.ready
	@$(BIN)/cordon migrate && $(BIN)/cordon demo

# Lint, types and import rules; the web app's checks, tests and build; then the whole of pytest. Ends with a plain line.
test: $(VENV)/.ready webapp/node_modules/.ready webapp/dist/.ready
	@$(BIN)/python tests/run_all.py

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Making the Python environment (about two minutes the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

webapp/node_modules/.ready: webapp/package-lock.json
	@echo "Fetching the web app's dependencies …"
	@cd webapp && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

webapp/dist/.ready: webapp/node_modules/.ready $(shell find webapp/src webapp/public webapp/index.html webapp/vite.config.ts -type f 2>/dev/null)
	@echo "Building the web app …"
	@cd webapp && npm run --silent build
	@touch $@

# New pictures for docs/, with the faces of insightface's sample photograph.
pictures: $(VENV)/.ready webapp/dist/.ready
	@$(BIN)/python tests/e2e/pictures.py docs/pictures

# Benchmarks against peers, each tests/bench/bench_NAME.py, with the peers in an environment of their own. Run by hand on
# a quiet machine; SHORT=1 keeps each under a minute. Needs CORDON_MODELS and CORDON_FACES.
BENCH_BIN := .venv-bench/bin

bench-%: tests/bench/bench_%.py .venv-bench/.ready
	@$(BENCH_BIN)/python $<

.venv-bench/.ready: requirements.lock tests/bench/requirements.txt pyproject.toml
	@echo "Making the benchmarks' Python environment (some minutes the first time) …"
	@test -x $(BENCH_BIN)/python || $(PYTHON) -m venv .venv-bench
	@$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/bench/requirements.txt
	@$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) .venv-bench webapp/node_modules webapp/dist build
