"""Counters and tables, read from the switches themselves: right also while no controller runs."""

from __future__ import annotations

from typing import Any

from topo.errors import LabError
from topo.lab.configs import grpc_address
from topo.lab.running_lab import Live
from topo.topology import Switch


def gather(live: Live) -> dict[str, Any]:
    """Switch name to its counters, or to ``error`` where it does not answer."""
    from controller.reads import ReadError, read_counters

    def read(switch: Switch) -> dict[str, Any]:
        try:
            return read_counters(grpc_address(switch.device_id), switch.device_id)
        except ReadError as error:
            return {"error": str(error)}

    # One after the other: grpc's event loops do not bear one another in threads.
    return {switch.name: read(switch) for switch in live.topology.switches}


def of(live: Live, name: str) -> dict[str, Any]:
    """The counters of one switch. Raises LabError where it does not answer."""
    from controller.reads import ReadError, read_counters

    switch = live.topology.switch(name)
    try:
        return read_counters(grpc_address(switch.device_id), switch.device_id)
    except ReadError as error:
        raise LabError(f"{name}: {error}") from error


def render(counters: dict[str, Any]) -> str:
    """The counters for people."""
    from controller.reads import format_counters

    answered = {name: held for name, held in counters.items() if "error" not in held}
    lines = [f"{name}: {held['error']}" for name, held in counters.items() if "error" in held]
    return "\n".join([*([format_counters(answered)] if answered else []), *lines])


def tables(live: Live, name: str) -> dict[str, Any]:
    """Table name to entries of one switch. Raises LabError where it does not answer."""
    from controller.reads import ReadError, read_tables

    switch = live.topology.switch(name)
    try:
        return read_tables(grpc_address(switch.device_id), switch.device_id)
    except ReadError as error:
        raise LabError(f"{name}: {error}") from error


def render_tables(held: dict[str, Any]) -> str:
    """The entries for people."""
    from controller.reads import format_tables

    return format_tables(held)
