# The commands of this checkout. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
# What the tests need beside Python: a sound server for the virtual microphone, PortAudio, a systemd to boot, shells
# that complete, man, and what makes odd recordings and file systems.
DEBIAN := libportaudio2 libasound2-plugins pulseaudio pulseaudio-utils systemd iproute2 faketime ca-certificates openssl bash-completion zsh fish man-db lame ffmpeg sox bindfs

.PHONY: help demo test lint types pytest test-systemd kills damage floods test-readme soak benches constraints sample shell packages debian clean

help:  ## List the commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /	/' | expand -t 16

demo: $(READY)  ## Hear a real recording through the whole pipeline, captions live.
	@$(BIN)/python deploy/demo.py

test: $(READY) debian lint  ## Everything that has to be green.
	@$(MAKE) --no-print-directory --jobs 2 types pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

pytest: $(READY)
	$(BIN)/pytest --numprocesses 5 --dist loadfile --no-loadscope-reorder

# How many kills or damaged files, the first round's seed, and how many rounds at once.
N ?= 1000
SEED ?= 1
JOBS ?= 2
HOURS ?= 8

kills: $(READY)  ## Kill whole daemons at random and judge what comes out: N=1000 SEED=1 JOBS=2.
	@PYTHONPATH=tests $(BIN)/python -m kills.loop --kills $(N) --seed $(SEED) --jobs $(JOBS)

damage: $(READY)  ## Damage stored files at random, start what reads them and judge what comes of it: N=1000 SEED=1 JOBS=2.
	@PYTHONPATH=tests $(BIN)/python -m damage.loop --rounds $(N) --seed $(SEED) --jobs $(JOBS)

floods: $(READY)  ## Flood every socket and server for long, with the memory it cost: FLOOD_S=20 FLOOD_CONNECTIONS=3000.
	FLOOD_S=$(or $(FLOOD_S),20) FLOOD_CONNECTIONS=$(or $(FLOOD_CONNECTIONS),3000) $(BIN)/pytest -s -v tests/floods

soak: $(READY)  ## Play a whole day at many times its pace, watching every word and the memory: HOURS=8.
	@$(BIN)/python tests/soak/day.py --hours $(HOURS)

test-systemd: $(READY) debian  ## Try service and installation under a real systemd, in a box: ten minutes, as root.
	$(BIN)/pytest tests/systemd/test_units.py tests/systemd/test_service.py tests/systemd/test_who_may.py \
	  tests/systemd/test_checked_service.py tests/systemd/long_service.py tests/systemd/long_who_may.py \
	  tests/systemd/long_install.py tests/systemd/long_check.py

test-readme: $(READY) debian  ## Run every line of README on fresh machines that boot, as root, with debootstrap: half an hour.
	$(BIN)/pytest -s tests/readme/test_ways.py tests/readme/long_readme.py

benches: $(READY)  ## Measure; one line of JSON each.
	@for bench in tests/benches/bench_*.py; do $(BIN)/python $$bench || exit 1; done

sample: $(READY)  ## Write deploy/minuted.toml anew from config.py.
	$(BIN)/python -m minuted.config > deploy/minuted.toml

shell: $(READY)  ## Write the shells' completion and the manual page in deploy/shell anew from the options.
	$(BIN)/python deploy/shell.py

constraints: $(READY)  ## Write deploy/constraints.txt and requirements.txt anew from pyproject.toml.
	$(BIN)/python deploy/constraints.py > deploy/constraints.txt.new
	mv deploy/constraints.txt.new deploy/constraints.txt
	$(BIN)/pip install --quiet --require-hashes -r deploy/constraints.txt
	$(BIN)/python deploy/requirements.py > deploy/requirements.txt.new
	mv deploy/requirements.txt.new deploy/requirements.txt

packages:  # Name the Debian packages the tests need.
	@echo $(DEBIAN)

debian:  # Say which Debian packages are missing for the tests.
	@missing=; for package in $(DEBIAN); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; [ -z "$$missing" ] || { \
	  echo "The tests need these Debian packages: apt-get install --no-install-recommends$$missing" >&2; exit 1; }

clean:  ## Remove what the commands above made.
	rm -rf .venv demo-output build

$(READY): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "minuted needs Python 3.11 or newer; $(PYTHON) is older, or missing." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "The venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into .venv (a minute) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r deploy/constraints.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
