#!/bin/sh
# Builds the P4 tools, p4compiler and p4switch, as a package of their own in build/p4tools (or the folder that is named):
# source/ is what it is made of, dist/ gets the sdist and, from that, the wheel. docs/p4-tools.md says how to use them.
# The import names are those of the checkout, so it is never installed into the checkout's environment.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/${SWITCHRAFT_VENV:-.venv}/bin/python
folder=${1:-build/p4tools}

rm -rf "$folder/source" "$folder/dist"
mkdir -p "$folder/source" "$folder/dist"
cp LICENSE "$folder/source/"
cp docs/p4-tools.md "$folder/source/README.md"
find p4compiler p4switch -name '*.py' -o -name '*.[ch]' -o -name '*.p4' -o -name '*.lua' | while read -r file; do
    mkdir -p "$folder/source/$(dirname "$file")"
    cp "$file" "$folder/source/$file"
done

# The version and what the tools need are the checkout's.
version=$(sed -n 's/^version = //p' pyproject.toml)
needed=$(grep -E '^    "(finsy|grpcio|protobuf)[<>=]' pyproject.toml)
cat > "$folder/source/pyproject.toml" <<TOML
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "p4lite"
version = $version
description = "A P4_16 (v1model) compiler and switch that install with pip: BMv2 JSON, P4Runtime, STF tests, packet traces"
readme = "README.md"
requires-python = ">=3.10"
license = "Apache-2.0"
license-files = ["LICENSE"]
keywords = ["P4", "P4Runtime", "v1model", "BMv2"]
dependencies = [
$needed
]

[project.scripts]
p4c-lite = "p4compiler.__main__:p4c_lite"
p4switch = "p4switch.__main__:p4switch"
p4stf = "p4switch.stf.runner:p4stf"
p4trace = "p4switch.trace.command:p4trace"

[tool.setuptools]
include-package-data = false

[tool.setuptools.packages.find]
include = ["p4compiler*", "p4switch*"]
namespaces = false

[tool.setuptools.package-data]
p4compiler = ["include/*.p4", "wireshark/*.lua"]
p4switch = ["runtime/*.c", "runtime/*.h"]
TOML

# Both steps with the environment's own setuptools, so that neither needs a package index.
log="$folder/build.log"
{
    (cd "$folder/source" && "$python" -c 'from setuptools import build_meta; build_meta.build_sdist("../dist")')
    "$python" -m pip wheel --no-deps --no-index --no-build-isolation --disable-pip-version-check \
        --wheel-dir "$folder/dist" "$folder"/dist/p4lite-*.tar.gz
} > "$log" 2>&1 || {
    tail -5 "$log" >&2
    echo "wheel: could not build; the whole log is $log" >&2
    exit 1
}
for made in "$folder"/dist/*; do echo "$made"; done
