#!/bin/sh
# Runs a command, as root, in a network of its own, with nothing but loopback: what runs on the machine is not in the
# command's way nor it in theirs, and what a killed command left goes with its namespace.
# /sys shows the network that it was mounted in; named namespaces are files in /run/netns.
set -eu
exec unshare --net --mount sh -euc '
    mount -t sysfs sysfs /sys
    mkdir -p /run/netns
    mount -t tmpfs tmpfs /run/netns
    ip link set lo up
    exec "$@"' sh "$@"
