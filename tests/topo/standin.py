"""A script in simple_switch_grpc's place: it knows its options, with or without Thrift's, and takes no other."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPT = """\
#!/bin/sh
usage() {{
    echo "Usage: SWITCH_NAME [options] <path to JSON config file>"
    echo "Options:"
    echo "  -h [ --help ]         Display this help message"
    {thrift}
    echo "  --device-id arg       Device ID"
    for line in $(seq 40); do echo "  --option-$line arg   one of many"; done
    echo "  --grpc-server-addr arg"
}}
[ "$1" = --help ] && {{ usage; exit 0; }}
for word; do
    if [ "$word" = --thrift-port ] && [ {known} = no ]; then
        echo "Error while parsing command line arguments"
        usage
        exit 1
    fi
done
{then}
"""
THRIFT = 'echo "  --thrift-port arg     TCP port on which to run the Thrift runtime server"'
EMBEDDED = f'exec {sys.executable} -m p4switch "$@"'


def simple_switch_grpc(folder: Path, *, thrift: bool, then: str = "exec sleep 300") -> Path:
    """Make the script. ``then`` is what it does once its options are right."""
    path = folder / "simple_switch_grpc"
    known = "yes" if thrift else "no"
    path.write_text(SCRIPT.format(thrift=THRIFT if thrift else ":", known=known, then=then))
    path.chmod(0o755)
    return path
