"""A switch read again and again, over a connection that is kept from one reading to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from finsy import P4ClientError, P4CounterData, P4Schema, P4TableEntry

from controller.client import P4RuntimeClient
from controller.desired import FEATURES, Entry, MulticastGroup
from controller.program import READ_ALL, Program
from controller.reads import ReadError, counter_cells, shown_counters
from controller.selectors import ProfileGroup, ProfileMember
from controller.tasks import within

ANSWER_S = 5.0

_Answer = TypeVar("_Answer")


class _Connection:
    """Made when it is needed, and made anew where it failed. ``schema``: what the switch is expected to run; without
    it the switch is asked."""

    def __init__(self, address: str, device_id: int, schema: P4Schema | None = None) -> None:
        self._address = address
        self._device_id = device_id
        self._schema = schema
        self._client: P4RuntimeClient | None = None
        self._informed: P4RuntimeClient | None = None
        """The one that has got the switch's P4Info, where there is no other: whoever asked for it may have left."""
        self._one = asyncio.Lock()

    async def ask(
        self, read: Callable[[P4RuntimeClient], Coroutine[Any, Any, _Answer]], timeout_s: float = ANSWER_S
    ) -> _Answer:
        """What ``read`` finds; one question at a time. Raises ReadError, also where the switch takes longer than
        ``timeout_s``."""
        try:
            async with self._one:
                return await within(self._read(read), timeout_s)
        except (P4ClientError, asyncio.TimeoutError, OSError, ValueError, KeyError) as error:
            await self.close()
            said = f"no answer within {timeout_s:g} s" if isinstance(error, asyncio.TimeoutError) else str(error)
            said = error.message if isinstance(error, P4ClientError) else said
            raise ReadError(f"{self._address}: {said}") from None

    async def _read(self, read: Callable[[P4RuntimeClient], Coroutine[Any, Any, _Answer]]) -> _Answer:
        client = self._client
        if client is None:
            client = self._client = await P4RuntimeClient(self._address, self._device_id, self._schema).__aenter__()
        if self._schema is None and self._informed is not client:
            await client.fetch_schema()
            self._informed = client
        return await read(client)  # which raises an error if another task has hung up by now

    async def close(self) -> None:
        """Hang up; the next question connects again."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


@dataclass(frozen=True)
class Held:
    """What a switch holds: the controller's entries, and what copies are made to and entries choose from."""

    entries: tuple[Entry, ...]
    groups: tuple[MulticastGroup | ProfileMember | ProfileGroup, ...] = ()


class Reader:
    """Reads what a switch holds, and what it has counted. ``program`` is what it is expected to run."""

    def __init__(self, address: str, device_id: int, program: Program) -> None:
        self._program = program
        self._connection = _Connection(address, device_id, program.schema)

    async def read(self) -> Held:
        """All entries. Raises ReadError."""
        return await self._connection.ask(self._read)

    async def count(self, cells: Mapping[str, Collection[int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """Counters that are not zero, (name, index) to packets and bytes: of those in ``cells``, by the last part of
        their names, these cells only; of others all. Raises ReadError."""
        return await self._connection.ask(lambda client: self._count(client, cells))

    async def close(self) -> None:
        """Hang up; ``read`` may be called again."""
        await self._connection.close()

    async def _read(self, client: P4RuntimeClient) -> Held:
        held = [self._program.decode(one) for one in await client.read(*READ_ALL)]
        return Held(
            tuple(one for one in held if isinstance(one, Entry)),
            tuple(one for one in held if one is not None and not isinstance(one, Entry)),
        )

    async def _count(
        self, client: P4RuntimeClient, cells: Mapping[str, Collection[int]]
    ) -> dict[tuple[str, int], tuple[int, int]]:
        schema = self._program.schema
        names = {counter.alias: counter.name for counter in schema.counters}
        return {
            (names[one.counter_id], one.index or 0): (one.packet_count, one.byte_count)
            for one in await client.read(*counter_cells(schema, cells))
            if one.packet_count or one.byte_count
        }


class CounterReader:
    """Reads a switch's counters only."""

    def __init__(self, address: str, device_id: int, ports: Collection[int], slots: Collection[int]) -> None:
        """``ports`` and ``slots``: those that there are. The counters of all others are not looked at."""
        self._connection = _Connection(address, device_id)
        self._cells = {"port_rx": sorted(ports), "port_tx": sorted(ports), "redirects": sorted(slots)}
        self._cells["over_limits"] = sorted(ports)

    async def read(self, timeout_s: float) -> dict[str, Any]:
        """As ``read_counters``; and ``features``: of each that counts what its entries matched, packets. Raises
        ReadError, also where the switch takes longer than ``timeout_s``."""
        return await self._connection.ask(self._read, timeout_s)

    async def close(self) -> None:
        """Hang up; ``read`` may be called again."""
        await self._connection.close()

    async def _read(self, client: P4RuntimeClient) -> dict[str, Any]:
        counting = _counting_tables(client.schema)
        tables = [P4TableEntry(table, counter_data=P4CounterData()) for table in counting]
        entries = await client.read(*counter_cells(client.schema, self._cells), *tables)
        features = dict.fromkeys(counting.values(), 0)
        for entry in entries:
            if isinstance(entry, P4TableEntry) and entry.counter_data is not None:
                features[counting[entry.table_id]] += entry.counter_data.packet_count
        return {**shown_counters(entries), "features": features}


def _counting_tables(schema: P4Schema) -> dict[str, str]:
    """The features' tables that count what their entries match, each with its feature's name."""
    tables = {table.alias: table for table in schema.tables}
    return {
        table: feature.name
        for feature in FEATURES
        for table in feature.tables
        if table in tables and tables[table].direct_counter is not None
    }
