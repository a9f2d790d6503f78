# Every target does its own set-up: Python >= 3.11 and make are all that must be there. ARGS="..." reaches the command:
# make train ARGS="model=yolov5s trainer.max_epochs=5"
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
DOCS := .venv-docs
DOCS_READY := $(DOCS)/.ready
COMPILE := -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
EXTRA_DOCS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")
ARGS ?=
BENCH := model=yolov5s,proposed --rounds 60

.DEFAULT_GOAL := help
.PHONY: help setup train sweep bench test lowest lint docs sbom licences doctor wheel lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv from requirements.lock (done by every other target as well)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lightdet needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@PYTHON=$(RUN) sh .ci/install
	@touch $(READY)

train: $(READY) ## train the default detector on the embedded synthetic data
	$(RUN) train.py $(ARGS)

sweep: $(READY) ## the ablation: attention or none, in front of each grid
	$(RUN) train.py -m attention=cbam,none head=76,38,19 $(ARGS)

bench: $(READY) ## parameters, operations and latency: make bench ARGS="model=yolov5s,proposed --out FOLDER"
	OMP_WAIT_POLICY=PASSIVE $(RUN) -m lightdet.cli.main benchmark $(or $(ARGS),$(BENCH))

test: $(READY) ## run the tests, a process for each core: make test ARGS="tests/test_cli.py -x"
	$(RUN) -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations 25 $(ARGS)

lowest: $(READY) ## the tests under the oldest versions that pyproject.toml allows, in .venv-lowest
	$(RUN) -m uv --version >/dev/null 2>&1 || $(RUN) -m pip install --quiet uv
	$(RUN) -m uv venv --quiet --seed --clear --python $(RUN) .venv-lowest
	$(RUN) -m uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[dev,export]'
	.venv-lowest/bin/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## style, common mistakes and types
	$(RUN) -m ruff check .
	$(RUN) -m mypy

$(DOCS_READY): requirements-docs.lock
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@PYTHON=$(DOCS)/bin/python sh .ci/install requirements-docs.lock
	@touch $(DOCS_READY)

docs: $(DOCS_READY) ## build the documentation in site/, strictly: a dead link fails
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict $(ARGS)

sbom: $(READY) $(DOCS_READY) ## dist/sbom.cdx.json: what requirements.lock installs, as CycloneDX
	@mkdir -p dist
	$(DOCS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o dist/sbom.cdx.json $(RUN)

licences: $(READY) $(DOCS_READY) ## dist/licences.md: the licences of what requirements.lock installs
	@mkdir -p dist
	$(DOCS)/bin/pip-licenses --python $(RUN) --from=mixed --with-urls --order=license --format=markdown --output-file dist/licences.md

doctor: $(READY) ## examine a dataset: make doctor ARGS="data=voc data.reader.root=..."
	$(RUN) -m lightdet.cli.main doctor $(ARGS)

wheel: $(READY) ## build dist/*.whl
	$(RUN) -m hatchling build -t wheel

lock: $(READY) ## pin the newest versions that pyproject.toml allows
	$(RUN) -m uv --version >/dev/null 2>&1 || $(RUN) -m pip install --quiet uv
	$(RUN) $(COMPILE) --extra dev --extra export pyproject.toml -o requirements.lock
	$(RUN) -c '$(EXTRA_DOCS)' | $(RUN) $(COMPILE) - -o requirements-docs.lock

clean: ## remove caches and build results; runs and .venv stay
	rm -rf dist build site .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
