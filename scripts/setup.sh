#!/bin/sh
# Installs what is missing, and only that: Debian packages (as root or with sudo) and the virtual environment .venv.
# SWITCHRAFT_PYTHON chooses the interpreter (3.10 or newer); SWITCHRAFT_VENV the environment's folder.
set -eu
cd "$(dirname "$0")/.."

VENV=${SWITCHRAFT_VENV:-.venv}
PACKAGES="mininet gcc libc6-dev python3 python3-venv iproute2 iputils-ping ethtool tcpdump net-tools openssl procps util-linux"

# Those of the packages named that are not installed.
missing_of() {
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || printf ' %s' "$package"
    done
}

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"

# Installs the packages named. 1 if that fails.
install_packages() {
    echo "setup: installing Debian packages: $*"
    if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
        echo "setup: these packages need root. Run once as root: apt-get install $*" >&2
        exit 1
    fi
    # Mininet recommends Open vSwitch, which this lab does not use.
    $sudo apt-get update -qq || echo "setup: apt-get update failed; trying with the package lists at hand" >&2
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# `setup.sh --browser` is for the tests only: Chromium, which Debian has as packages and Ubuntu has not. The exit code is 3
# where the system has no such package.
if [ "${1:-}" = --browser ]; then
    if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
    install_packages chromium chromium-driver && exit 0
    if apt-cache show chromium-driver >/dev/null 2>&1; then
        echo "setup: apt-get could not install chromium and chromium-driver (see the lines above)" >&2
        exit 1
    fi
    echo "setup: this system has no package of Chromium: the tests of the page are skipped, unless chromium and" \
        "chromedriver are on the PATH" >&2
    exit 3
fi

# `setup.sh --wireshark` is for the tests only: they read captures with tshark, which Debian and Ubuntu have.
if [ "${1:-}" = --wireshark ]; then
    if command -v tshark >/dev/null; then exit 0; fi
    install_packages tshark && exit 0
    echo "setup: apt-get could not install tshark (see the lines above)" >&2
    exit 1
fi

# `setup.sh --prometheus` is for the tests only: prometheus and promtool, which Debian and Ubuntu have in one package. It
# is unpacked below build/ and not installed: that would start a service for the whole machine, at each boot anew.
if [ "${1:-}" = --prometheus ]; then
    folder=build/prometheus
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi
    if [ -x "$folder/usr/bin/prometheus" ] && [ -x "$folder/usr/bin/promtool" ]; then exit 0; fi
    echo "setup: unpacking Debian's package prometheus into $folder"
    $sudo apt-get update -qq || echo "setup: apt-get update failed; trying with the package lists at hand" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    { (cd "$folder" && apt-get download -qq prometheus 2>&1) && dpkg-deb -x "$folder"/prometheus_*.deb "$folder"; } \
        >"build/prometheus.log" 2>&1 || {
        echo "setup: apt-get could not download prometheus: $(tail -1 build/prometheus.log)" >&2
        rm -rf "$folder"
        exit 1
    }
    rm -f "$folder"/prometheus_*.deb
    exit 0
fi

missing=$(missing_of $PACKAGES)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086  # one word per package
    install_packages $missing || {
        echo "setup: apt-get could not install:$missing (see the lines above)" >&2
        exit 1
    }
fi

# One stamp for all that the environment is made of: a second start only compares it.
python=${SWITCHRAFT_PYTHON:-/usr/bin/python3}
stamp=$( { cat pyproject.toml scripts/setup.sh; echo "$python"; pwd; "$python" --version; } | cksum)
[ -f "$VENV/.stamp" ] && [ "$(cat "$VENV/.stamp")" = "$stamp" ] && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "setup: $python is older than 3.10; set SWITCHRAFT_PYTHON to a newer one" >&2
    exit 1
}
echo "setup: making the virtual environment $VENV (once)"
rm -rf "$VENV"
"$python" -m venv "$VENV" || { echo "setup: $python cannot make virtual environments" >&2; exit 1; }
# A third of the time goes into compiling modules of which few are used. Root can do without: what is used is compiled at
# its first use, into this folder. With sudo nothing is written here, since it would be root's.
compile="--compile"
[ -n "$sudo" ] || [ -n "${SUDO_UID:-}" ] || compile="--no-compile"
"$VENV/bin/pip" install --quiet --disable-pip-version-check "$compile" --editable '.[dev,metrics]' || {
    echo "setup: pip could not install the Python packages (see the lines above)" >&2
    exit 1
}
# Mininet is a Debian package for the system's Python, but plain Python: the environment borrows just that folder.
mininet=$(/usr/bin/python3 -c 'import mininet; print(mininet.__path__[0])')
site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
ln -sfn "$mininet" "$site/mininet"
"$VENV/bin/python" -c 'import distutils.version, mininet.net' 2>/dev/null || {
    echo "setup: Mininet does not import under $python" >&2
    exit 1
}
echo "$stamp" > "$VENV/.stamp"
