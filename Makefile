# switchraft. `make` lists the targets below; whatever needs the environment sets it up first.
#
#   make setup                    install what is missing, and make .venv
#   make run  [TOPOLOGY=triangle] [SWITCH=auto|bmv2|embedded] [NODES=manual]   open the lab
#   make demo                     the whole story on real packets, in under a minute
#   make shell SW=s1              p4runtime-shell on a switch of the running lab
#   make stop                     end the lab, also after a crash
#
#   make lint                     ruff, its formatter, mypy
#   make check                    linters, types, and the tests that need neither root nor a lab
#   make test                     linters, types, every test (those that need root too)
#   make test-bmv2                the lab's tests on the real p4c and BMv2, when they are on the PATH
#   make test-corpus P4C=DIR      p4c's own test programs, from a checkout of it  [JSON=DIR] [PART=stf]
#   make test-bmv2-corpus [P4C=DIR] [BMV2=DIR]   our compiler and switch beside the real ones: the same packets
#   make test-recorded            100,000 random packets against what BMv2 did with them (without BMv2)
#   make test-exercises TUTORIALS=DIR   the exercises of a p4lang/tutorials checkout on our compiler and switch
#   make fuzz [FUZZ_MINUTES=20]   compiler, JSON loader, P4Runtime server, data plane; goes on where it was stopped
#   make fuzz-nodes [DATAGRAMS=1000000]   hostile datagrams at members, hostile answers at a client
#   make soak [MINUTES=10] [SEED=N] [KILLS=200]   faults under load in a lab of its own, judged by what clients saw
#   make bench                    the core's speed, commits per second in the lab beside etcd, how fast it recovers
#   make figures                  a page of all that benchmarks have measured here
#   make wheel                    the P4 compiler and switch as a package to install elsewhere (docs/p4-tools.md)
#
#   make clean                    stop, then remove all that is generated

TOPOLOGY ?= triangle
SWITCH ?= auto
NODES ?= auto
SW ?= s1
MINUTES ?= 10
FUZZ_MINUTES ?= 20
DATAGRAMS ?= 1000000
VENV := .venv
BIN := $(VENV)/bin
ROOMS := p4compiler p4switch controller hosts topo linearizability sim web bench conformance course
# Where the lab's tools are; Debian has these folders on the PATH of root alone.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
# The lab needs root; everything else runs as whoever calls make.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo env "PATH=$$PATH" "DISPLAY=$$DISPLAY" PYTHONDONTWRITEBYTECODE=1)

.PHONY: help setup run demo check test lint test-bmv2 test-corpus test-bmv2-corpus test-recorded test-exercises fuzz fuzz-nodes bench figures soak wheel shell stop clean

# The list at the head of this file.
help:
	@sed -n '/^#   make/,/^$$/s/^# \{0,3\}//p' Makefile

setup:
	@scripts/setup.sh
	@$(BIN)/python -m compileall -q $(ROOMS)

run: setup
	@$(ROOT) $(BIN)/switchraft lab --topology $(TOPOLOGY) --switch $(SWITCH) --nodes $(NODES) --web

demo: setup
	@$(ROOT) $(BIN)/switchraft demo --switch $(SWITCH)

lint: setup
	@scripts/test.sh lint

test: setup
	@SWITCHRAFT_ROOT="$(ROOT)" scripts/test.sh

check: setup lint
	@scripts/test.sh check

test-bmv2: setup
	@SWITCHRAFT_ROOT="$(ROOT)" scripts/test.sh bmv2

test-corpus: setup
	@$(BIN)/python -m conformance corpus $(if $(JSON),--json $(JSON)) $(if $(PART),--part $(PART)) $(P4C)

# BMV2: the folder of p4c-bm2-ss and simple_switch_grpc, where they are not on the PATH.
AGAINST = $(BIN)/python -m conformance bmv2 $(if $(BMV2),--bmv2 $(BMV2)) $(if $(P4C),--p4c $(P4C))
test-bmv2-corpus: setup
	@$(AGAINST) pairs
	@$(AGAINST) features
	@$(AGAINST) json
	@$(AGAINST) fuzz

test-exercises: setup
	@$(BIN)/python -m conformance exercises $(TUTORIALS)

fuzz: setup
	@$(BIN)/python -m conformance fuzz --minutes $(FUZZ_MINUTES)

test-recorded: setup
	@$(BIN)/python -m conformance bmv2 replay

fuzz-nodes: setup
	@$(BIN)/python -m tests.hosts.fuzz --datagrams $(DATAGRAMS)

bench: setup
	@$(BIN)/python -m bench core
	@$(ROOT) $(BIN)/python -m bench commit
	@$(ROOT) $(BIN)/python -m bench failover --load-minutes 1
	@$(ROOT) $(BIN)/python -m bench recovery

figures: setup
	@$(BIN)/python -m bench figures

soak: setup
	@$(ROOT) $(BIN)/switchraft soak --switch $(SWITCH) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) \
		$(if $(KILLS),--kills $(KILLS))

wheel: setup
	@scripts/wheel.sh

shell: setup
	@scripts/shell.sh $(SW)

stop:
	@if [ -x $(BIN)/switchraft ] && [ -d build ]; then $(ROOT) $(BIN)/switchraft stop; fi

clean: stop
	@rm -rf build $(VENV) .venv-* *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
