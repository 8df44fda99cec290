# make demo | test | test-extended | test-backends | lint | docs | bench | clean. Each sets up what it needs in .venv.
# Another Python: make test PYTHON=python3.12. Arguments for pytest or the demo: make test ARGS="-k spikes".
# Test processes, each of up to 2 GB: make test PROCESSES=4.

PYTHON ?= python3
ARGS ?=
PROCESSES ?= 2
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check
PROJECT := pyproject.toml setup.py
BENCHMARKS = $(filter-out benchmarks/training/contestants.py,$(shell grep -rl --include='*.py' '^if __name__' benchmarks | sort))
RUFF := ruff>=0.17,<0.18

.PHONY: help demo test test-extended test-backends lint docs bench clean

help:
	@echo "make demo   train on digits, export, verify; results in runs/digits (three minutes after the install)"
	@echo "make test   install and run the tests"
	@echo "make test-extended  tests too long for every day: each recipe, notebook, page and pair of integers"
	@echo "make test-backends  install JAX and PyTorch, each on its own, and run layers and exporter on them"
	@echo "make lint   ruff: rules and format"
	@echo "make docs   the pages and the reference as a site, site/index.html"
	@echo "make bench  every figure of the README, from benchmarks/"
	@echo "make clean  remove .venv, build products and caches; runs/ stays"

demo: $(VENV)/.installed-examples
	$(RUN) examples/train_and_export.py $(ARGS)

test: $(VENV)/.installed-test
	$(RUN) -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-extended: $(VENV)/.installed-test
	$(RUN) -m pytest -m extended --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

test-backends: $(VENV)/jax/.installed $(VENV)/torch/.installed $(VENV)/.installed-test
	set -e; for backend in jax torch; do KERAS_BACKEND=$$backend TENSORFLOW_PYTHON="$(abspath $(RUN))" \
	    "$(VENV)/$$backend/bin/python" -m pytest tests/core/backends $(ARGS); done

lint: $(VENV)/.installed-lint
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m mkdocs build --strict --quiet
	@echo "site/index.html"

bench: $(VENV)/.installed-test
	set -e; for module in $(subst /,.,$(BENCHMARKS:.py=)); do $(RUN) -m "$$module"; done

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed-examples: $(VENV)/.created $(PROJECT)
	@echo "Installing keras-ternary-spike and TensorFlow into $(VENV): a few minutes the first time."
	$(PIP) -e ".[tflm,examples]"
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created $(PROJECT)
	@echo "Installing keras-ternary-spike, TensorFlow and the test tools into $(VENV): a few minutes the first time."
	$(PIP) -e ".[test]"
	@touch $@ $(VENV)/.installed-examples

$(VENV)/.installed-docs: $(VENV)/.created $(PROJECT)
	$(PIP) -e ".[docs,compression]"
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.created $(PROJECT)
	$(PIP) "$(RUFF)"
	@touch $@

$(VENV)/jax/.installed: BACKEND := jax==0.10.2
$(VENV)/torch/.installed: BACKEND := torch==2.13.0 "spikingjelly>=2,<3" "snntorch>=1,<2"
$(VENV)/%/.installed: $(PROJECT) | $(VENV)/.created
	@echo 'Installing Keras, $(BACKEND) into $(VENV)/$*: a minute or two the first time.'
	"$(PYTHON)" -m venv "$(VENV)/$*"
	"$(VENV)/$*/bin/python" -m pip install --quiet --disable-pip-version-check \
	    $(BACKEND) "keras>=3.12,<4" "numpy>=1.26,<3" "pytest>=8" \
	    "ai-edge-litert>=2.1,<3" "flatbuffers>=24.3,<26"
	@# Without the dependencies, for TensorFlow is one.
	"$(VENV)/$*/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.created:
	@command -v "$(PYTHON)" >/dev/null || { echo "Python 3.10 to 3.13 is needed. Not found: $(PYTHON)." \
	    "Install it (Debian: apt-get install python3 python3-venv) or name one: make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	    echo "Python 3.10 to 3.13 is needed (TensorFlow has no wheels for others)." \
	    "Found: $$("$(PYTHON)" --version 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is needed." \
	    "$(PYTHON) comes without it. Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@$(PIP) --upgrade pip  # the one in Python 3.10 resolves our dependencies for ten minutes
	@touch $@
