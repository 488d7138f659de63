"""Entries of the program, some const, with priorities of their own: read and changed over P4Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from finsy.proto import p4r

from tests.p4switch.client import DELETE, INSERT, MODIFY, Client
from tests.p4switch.conftest import Program, Switch, compile_program

CASE = Path(__file__).parents[2] / "p4compiler" / "cases" / "entries-priority" / "prog.p4"
DENIED = 7


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return compile_program(CASE, tmp_path_factory.mktemp("entries"))


async def entries(client: Client, table: str) -> list[p4r.TableEntry]:
    return [entity.table_entry for entity in await client.read(client.names.entry(table))]


def argument(entry: p4r.TableEntry) -> int:
    return int.from_bytes(entry.action.action.params[0].value, "big")


async def test_priorities_read_as_the_program_gives_them(client: Client) -> None:
    read = await entries(client, "te")
    assert {argument(e): e.priority for e in read} == {10: 10, 9: 9, 8: 8, 20: 20, 21: 20}
    assert {argument(e): e.is_const for e in read} == {10: False, 9: False, 8: False, 20: True, 21: False}


async def test_where_the_smallest_wins_p4runtime_reads_the_largest_for_the_winner(client: Client) -> None:
    """The program's numbers are 100, 110 and 5: differences stay, and nothing is below 1."""
    read = await entries(client, "sm")
    assert {argument(e): e.priority for e in read} == {5: 106, 100: 11, 110: 1}


async def test_longest_prefixes_have_no_priority(client: Client) -> None:
    assert {e.priority for e in await entries(client, "lp")} == {0}


async def test_a_const_entry_among_others_stays(client: Client) -> None:
    names = client.names
    [const] = [e for e in await entries(client, "te") if e.is_const]
    same = p4r.TableEntry(table_id=const.table_id, match=const.match, priority=const.priority, action=const.action)
    assert await client.codes(DELETE, p4r.Entity(table_entry=same)) == [DENIED]
    assert await client.codes(MODIFY, p4r.Entity(table_entry=same)) == [DENIED]
    others = [e for e in await entries(client, "te") if not e.is_const]
    for other in others:
        other.action.CopyFrom(p4r.TableAction(action=names.action("r2", 99)))
        await client.modify(p4r.Entity(table_entry=other))
        await client.delete(p4r.Entity(table_entry=other))
    assert await entries(client, "te") == [const]


async def test_constant_tables_stay_whole(client: Client) -> None:
    [first, *_] = await entries(client, "lp")
    assert first.is_const
    first.is_const = False
    assert await client.codes(DELETE, p4r.Entity(table_entry=first)) == [DENIED]
    assert await client.codes(INSERT, client.names.entry("lp", {1: "1/8", 2: 7}, client.names.action("r1", 1))) == [
        DENIED
    ]


@pytest.mark.parametrize(("priority", "wins"), [(19, 20), (21, 77)])
async def test_what_is_added_competes_with_what_the_program_gives(
    client: Client, switch: Switch, priority: int, wins: int
) -> None:
    names = client.names
    await client.insert(names.entry("te", {2: "7..7"}, names.action("r2", 77), priority=priority))
    switch.plane.packet(1, bytes.fromhex("0207000000"))
    assert switch.plane.sent == [(3, bytes([2, 7, 0, wins, 100]))]
