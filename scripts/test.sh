#!/bin/sh
# Runs the tests, in two processes: as root in one go; otherwise those that need root with sudo, and build/ is handed back.
# `scripts/test.sh bmv2` runs the lab's tests on the real simple_switch_grpc and p4c instead.
set -eu
cd "$(dirname "$0")/.."
# One seed: a run of the tests can be repeated; looking further is for the fuzzers and the simulator.
# Two processes: which tests may run at the same time, tests/conftest.py says.
pytest=".venv/bin/pytest --hypothesis-seed=0 --numprocesses=2 --dist=loadgroup"
sudo=${SWITCHRAFT_ROOT:-}
as_root="$sudo scripts/isolated.sh"

if [ "${1:-}" = check ]; then
    exec $pytest -q -m "not bmv2 and not root and not lab" tests/raft tests/storage tests/topo tests/controller tests/p4 \
        tests/p4compiler tests/linearizability tests/recorded tests/hosts/net tests/hosts/test_group.py \
        tests/hosts/test_member.py tests/hosts/test_wire.py tests/test_rooms.py tests/test_docs.py
fi

if [ "${1:-}" = bmv2 ]; then
    for tool in p4c-bm2-ss simple_switch_grpc; do
        command -v "$tool" >/dev/null || {
            echo "test-bmv2: $tool is not on the PATH. Install p4c and BMv2, or use \`make test\`:" \
                "the embedded switch needs neither." >&2
            exit 1
        }
    done
    exec $as_root env SWITCHRAFT_SWITCH=bmv2 $pytest tests/lab tests/p4 -m "lab or bmv2"
fi

# While there is a way to the package index: the tests that need root have none.
scripts/shell.sh --setup
scripts/setup.sh --browser

if [ "$(id -u)" = 0 ]; then
    exec $as_root $pytest -m "not bmv2"
fi
code=0
$pytest -m "not bmv2 and not root and not lab" || code=$?
$as_root $pytest -p no:cacheprovider -m "not bmv2 and (root or lab)" || code=$?
$sudo chown -R "$(id -u):$(id -g)" build
exit $code
