# The README's two commands. Each makes .venv from nothing; a second run skips what is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(BIN)/pose3d video demos/walk.mp4 --output output
	@echo "The video is output/walk_pose3d.mp4, its numbers are output/walk_pose3d.npz."

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# (compat: found by its path, so that a script beside this folder finds the package in it as well.)
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --config-settings editable_mode=compat --editable ".[mediapipe]"
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --config-settings editable_mode=compat --editable ".[mediapipe,mm,test]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) output
