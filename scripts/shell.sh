#!/bin/sh
# p4runtime-shell on a switch of the running lab: scripts/shell.sh s1
#
# p4runtime-shell needs a protobuf that is older than the project's, so it lives in an environment of its own,
# .venv-shell, made on first use. It asks with election id 0,1, far below the controller's, so the controller stays
# primary and the shell only reads. To write, stop the controller and ask with the id that it had:
#
#   switchraft controller kill && ELECTION_ID=0,1000 make shell SW=s1
#
# SWITCHRAFT_PYTHON chooses the interpreter; SWITCHRAFT_SHELL_VENV the environment's folder; SWITCHRAFT_NETWORK the
# lab's network.json. `scripts/shell.sh --setup` only makes the environment.
set -eu
cd "$(dirname "$0")/.."

VENV=${SWITCHRAFT_SHELL_VENV:-.venv-shell}
NETWORK=${SWITCHRAFT_NETWORK:-build/lab/network.json}
ELECTION_ID=${ELECTION_ID:-0,1}
python=${SWITCHRAFT_PYTHON:-/usr/bin/python3}
packages="p4runtime-shell==0.0.6"

make_environment() {
    stamp="$packages $("$python" --version)"
    [ -f "$VENV/.stamp" ] && [ "$(cat "$VENV/.stamp")" = "$stamp" ] && return
    echo "shell: making the virtual environment $VENV for p4runtime-shell (once)" >&2
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
    # As in setup.sh: what root uses is compiled at its first use.
    compile="--compile"
    [ "$(id -u)" != 0 ] || [ -n "${SUDO_UID:-}" ] || compile="--no-compile"
    pip="$VENV/bin/pip --quiet --disable-pip-version-check install $compile"
    # Its own dependencies fail to build in pip's isolation.
    if ! { $pip setuptools wheel && $pip --no-build-isolation "$packages"; }; then
        echo "shell: pip could not install $packages (see the lines above)" >&2
        exit 1
    fi
    echo "$stamp" >"$VENV/.stamp"
}

if [ "${1:-}" = --setup ]; then
    make_environment
    exit 0
fi
if [ $# -ne 1 ]; then
    echo "usage: scripts/shell.sh SWITCH    (make shell SW=s1)" >&2
    exit 2
fi
if [ ! -f "$NETWORK" ]; then
    echo "shell: no lab is running ($NETWORK is not there): \`make run\` starts one" >&2
    exit 1
fi
target=$("$python" - "$NETWORK" "$1" <<'PYTHON'
import json, sys

path, wanted = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    switches = {one["name"]: one for one in json.load(file)["switches"]}
if wanted not in switches:
    sys.exit(f"shell: no switch {wanted} in the lab; there are: {' '.join(switches)}")
print(switches[wanted]["grpc"], switches[wanted]["device_id"])
PYTHON
)
make_environment
address=${target% *}
echo "shell: $1 at $address with election id $ELECTION_ID" >&2
[ "$ELECTION_ID" != 0,1 ] || echo "shell: while the controller runs it is the primary: here you read (see $0)" >&2
exec "$VENV/bin/python" -m p4runtime_sh --grpc-addr "$address" --device-id "${target#* }" --election-id "$ELECTION_ID"
