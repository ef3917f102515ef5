# make quickstart: search, train, export and detect on embedded data; make test: the test suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: quickstart test test-slow test-long bench lint format clean

quickstart: $(STAMP)
	$(BIN)/python tools/quickstart.py --config_file=configs/quickstart.yaml --model_dir=runs/quickstart

test: $(STAMP)
	$(BIN)/python -m pytest -q

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

test-long: $(STAMP)
	$(BIN)/python -m pytest -q -n 0 -m long tests/long --attack-table=runs/attacks.md

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet -e ".[bench]"
	$(BIN)/python benchmarks/step_time.py --size=small --json
	$(BIN)/python benchmarks/step_time.py --size=paper --json

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" "setuptools>=68" wheel
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[detection,test]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
