#!/bin/sh
# Runs the tests: those that make interfaces or labs, and all others. As root both at the same time, each in a network of
# its own; otherwise one after the other, the former with sudo, and build/ is handed back.
# `scripts/test.sh lint` runs the linters alone.
# `scripts/test.sh bmv2` runs the lab's tests on the real simple_switch_grpc and p4c instead.
set -eu
cd "$(dirname "$0")/.."
# One seed: a run of the tests can be repeated; looking further is for the fuzzers and the simulator.
pytest=".venv/bin/pytest --hypothesis-seed=0 --durations=20"
# What Python and pytest make of the modules is for the next process, too.
unset PYTHONDONTWRITEBYTECODE
sudo=${SWITCHRAFT_ROOT:-}
as_root="$sudo scripts/isolated.sh"

lint() {
    .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
}

if [ "${1:-}" = lint ]; then
    lint
    exit
fi

if [ "${1:-}" = check ]; then
    exec $pytest -q --numprocesses=2 --dist=loadfile -m "not bmv2 and not root and not lab" tests/raft tests/storage tests/topo tests/controller tests/p4 \
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

# While there is a way to the package index: the tests that need root have none. What waits for pip and what waits for apt
# wait together.
scripts/shell.sh --setup &
shell=$!
scripts/setup.sh --wireshark
scripts/setup.sh --prometheus
scripts/setup.sh --browser || {
    [ $? = 3 ] || exit 1
    export SWITCHRAFT_WITHOUT_BROWSER=1
}
wait "$shell"

# Two halves of what needs no root: what records simulated runs and what is read by Wireshark, and all other tests.
recorded="tests/course tests/docs tests/follow tests/live tests/sim tests/web tests/wireshark"
others=""
for folder in $recorded tests/lab; do
    others="$others --ignore=$folder"
done
plain="not bmv2 and not root and not lab"
interfaces="not bmv2 and (root or lab)"
bare="not bmv2 and root and not lab"
# Each reads its own files only: to read all tests takes longer than most of what is chosen.
rooted=$(grep -rl 'mark\.root' tests --include='test_*.py' | grep -v '^tests/lab/')
code=0
if [ "$(id -u)" = 0 ]; then
    told=$(mktemp -d)
    # Each has a session of its own, so that Ctrl-C comes to it once: from the trap, as an interrupt, after which a lab is
    # taken down. In a shell's background it would be ignored.
    own="setsid env --default-signal=INT"
    # A lab waits most of the time, for processes that each want a processor at once; what only computes can wait.
    patient="$own nice -n 10"
    echo "Linters, the tests that make labs or interfaces, and those of recorded runs run beside these, and are told of" \
        "after them."
    trap 'rm -rf "$told"' EXIT
    lint >"$told/lint" 2>&1 &
    beside=$!
    $own $as_root $pytest -p no:cacheprovider -m "not bmv2" tests/lab >"$told/labs" 2>&1 &
    beside="$beside $!"
    $patient $as_root $pytest -p no:cacheprovider -m "$bare" $rooted >"$told/bare" 2>&1 &
    beside="$beside $!"
    $patient $as_root $pytest -p no:cacheprovider -m "$plain" $recorded >"$told/recorded" 2>&1 &
    beside="$beside $!"
    $patient $as_root $pytest -m "$plain" $others &
    beside="$! $beside"
    trap 'kill -INT $beside 2>/dev/null || true; wait || true; exit 130' INT TERM
    for one in $beside; do
        wait "$one" || code=$?
    done
    cat "$told/recorded" "$told/bare" "$told/labs" "$told/lint"
    exit $code
fi
lint || code=$?
$pytest -m "$plain" || code=$?
$as_root $pytest -p no:cacheprovider -m "$interfaces" || code=$?
$sudo chown -R "$(id -u):$(id -g)" build
exit $code
