# Every target sets the working copy up first; `make help` lists them.

PYTHON ?= python3
JOBS ?= 2
SHELL := bash
ENV := source tools/env.sh

.DEFAULT_GOAL := help
.PHONY: help setup test demo bench lint clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16
	@echo "  PYTHON=...    the Python 3.11 or 3.12 to make .venv with (python3)"
	@echo "  JOBS=...      processes that test at the same time (2); 0: in one, for a debugger"
	@echo "  ARGS=...      more arguments for test, demo and bench"
	@echo "  source tools/env.sh gives a shell the same environment"

setup:  ## make .venv, install the dependencies and ROS 2, build with colcon
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) not found: install with \`sudo apt install python3 python3-venv python3-dev\`" >&2; exit 1; }
	@$(PYTHON) tools/setup.py

test: setup  ## run all tests
	@$(ENV) && python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

demo: setup  ## replay a synthetic drive through the node and write out/demo/report.html
	@$(ENV) && occflow demo $(or $(ARGS),--overwrite)

bench: setup  ## measure the numbers that the README states
	@$(ENV) && occflow bench $(ARGS)

lint: setup  ## check style, formatting and types
	@$(ENV) && ruff check && ruff format --check && mypy

clean:  ## remove what setup made: .venv, build, install, log
	rm -rf .venv build install log *.egg-info .mypy_cache .pytest_cache .ruff_cache
