"""Table entries over P4Runtime: what is accepted, how it reads back, and which code refuses the rest."""

from __future__ import annotations

import pytest
from finsy.proto import p4r

from tests.p4switch.client import DELETE, INSERT, MODIFY, Client, Refused

INVALID, NOT_FOUND, EXISTS, DENIED, FULL, RANGE = 3, 5, 6, 7, 8, 11


async def test_exact_entry_lives_through_insert_read_modify_delete(client: Client) -> None:
    names = client.names
    key = {1: 0x123, 2: 0x4}
    await client.insert(names.entry("exact_t", key, names.action("forward", 7)))
    [read] = await client.read(names.entry("exact_t", key))
    assert read == names.entry("exact_t", key, names.action("forward", 7))

    await client.modify(names.entry("exact_t", key, names.action("rewrite", 0xAABBCCDDEEFF, 9)))
    [read] = await client.read(names.entry("exact_t"))
    assert read == names.entry("exact_t", key, names.action("rewrite", 0xAABBCCDDEEFF, 9))

    await client.delete(names.entry("exact_t", key))
    assert await client.read(names.entry("exact_t")) == []


async def test_every_match_kind_reads_back_as_it_was_written(client: Client) -> None:
    names = client.names
    entries = [
        names.entry("lpm_t", {1: "0x0a000000/8"}, names.action("forward", 1)),
        names.entry("lpm_t", {1: "0x0a000100/24"}, names.action("drop")),
        names.entry("lpm_t", {}, names.action("forward", 3)),
        names.entry(
            "mixed_t",
            {1: "0x0a000000&0xff000000", 2: "5..80", 3: "=4", 4: 1},
            names.action("forward", 4),
            priority=10,
        ),
        names.entry("mixed_t", {4: 2}, names.action("forward", 5), priority=10),
        names.entry("mixed_t", {4: 2}, names.action("forward", 6), priority=11),
        names.entry("mixed_t", {3: "=0", 4: 2}, names.action("forward", 6), priority=11),
    ]
    await client.insert(*entries)
    read = await client.read(names.entry("lpm_t"), names.entry("mixed_t"))
    assert sorted(map(repr, read)) == sorted(map(repr, entries))


async def test_numbers_are_accepted_in_any_length_and_read_back_in_the_shortest(client: Client) -> None:
    names = client.names
    await client.insert(
        names.entry("exact_t", {1: b"\0\0\0\x05", 2: b"\0\x04"}, names.action("forward", b"\0\0\x07"))
    )
    [read] = await client.read(names.entry("exact_t"))
    assert read == names.entry("exact_t", {1: 5, 2: 4}, names.action("forward", 7))
    assert await client.codes(INSERT, names.entry("exact_t", {1: 5, 2: 4}, names.action("forward", 7))) == [EXISTS]


async def test_presence_decides_what_an_update_may_do(client: Client) -> None:
    names = client.names
    entry = names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 7))
    assert await client.codes(MODIFY, entry) == [NOT_FOUND]
    assert await client.codes(DELETE, entry) == [NOT_FOUND]
    assert await client.codes(INSERT, entry, entry) == [0, EXISTS]
    other_priority = names.entry("mixed_t", {4: 1}, names.action("forward", 7), priority=5)
    assert await client.codes(INSERT, other_priority) == [0]
    other_priority.table_entry.priority = 6
    assert await client.codes(DELETE, other_priority) == [NOT_FOUND]


async def test_delete_looks_at_the_key_alone(client: Client) -> None:
    names = client.names
    await client.insert(names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 7)))
    nonsense = names.entry("exact_t", {1: 1, 2: 1}, p4r.Action(action_id=77), metadata=b"x", idle_timeout_ns=5)
    await client.delete(nonsense)
    assert await client.read(names.entry("exact_t")) == []


async def test_malformed_entries_are_refused_each_for_its_reason(client: Client) -> None:
    names = client.names
    forward, hit = names.action("forward", 7), p4r.TableEntry.IdleTimeout(elapsed_ns=1)
    cases = [
        (names.entry("exact_t", {1: 1}, forward), INVALID, "nibble is missing"),
        (names.entry("exact_t", {1: 0x1000, 2: 1}, forward), RANGE, "does not fit in 12 bits"),
        (names.entry("exact_t", {1: b"", 2: 1}, forward), RANGE, "empty"),
        (names.entry("exact_t", {1: 1, 2: 1, 3: 1}, forward), INVALID, "no match field with the id 3"),
        (names.entry("exact_t", {1: "1/4", 2: 1}, forward), INVALID, "narrow is exact, not lpm"),
        (names.entry("exact_t", {1: 1, 2: 1}, forward, priority=3), INVALID, "has no priority"),
        (names.entry("exact_t", {1: 1, 2: 1}), INVALID, "needs an action"),
        (names.entry("exact_t", {1: 1, 2: 1}, names.action("drop")), INVALID, "has no action"),
        (names.entry("exact_t", {1: 1, 2: 1}, names.action("NoAction")), DENIED, "default entry only"),
        (names.entry("exact_t", {1: 1, 2: 1}, names.action("forward")), INVALID, "parameter port"),
        (names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1, 2)), INVALID, "id 2"),
        (names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 512)), RANGE, "9 bits"),
        (names.entry("exact_t", {1: 1, 2: 1}, forward, is_const=True), INVALID, "is_const"),
        (
            names.entry("exact_t", {1: 1, 2: 1}, forward, idle_timeout_ns=5),
            INVALID,
            "idle_timeout_ns must be",
        ),
        (
            names.entry("exact_t", {1: 1, 2: 1}, forward, time_since_last_hit=hit),
            INVALID,
            "has_time_since_",
        ),
        (names.entry("lpm_t", {1: "0x0a000001/8"}, forward), INVALID, "after its prefix"),
        (names.entry("lpm_t", {1: "0x0a000000/33"}, forward), INVALID, "prefix length of 33"),
        (names.entry("lpm_t", {1: "0/0"}, forward), INVALID, "leave it out"),
        (names.entry("mixed_t", {4: 1}, forward), INVALID, "needs a priority"),
        (names.entry("mixed_t", {1: "1&2", 4: 1}, forward, priority=1), INVALID, "outside its mask"),
        (names.entry("mixed_t", {1: "0&0", 4: 1}, forward, priority=1), INVALID, "leave it out"),
        (names.entry("mixed_t", {2: "9..3", 4: 1}, forward, priority=1), INVALID, "upside down"),
        (names.entry("mixed_t", {2: "0..65535", 4: 1}, forward, priority=1), INVALID, "leave it out"),
        (names.entry("keyless_t", {}, forward), INVALID, "no key"),
        (p4r.Entity(table_entry=p4r.TableEntry(table_id=0x02FFFFFF)), INVALID, "no table"),
        (p4r.Entity(table_entry=p4r.TableEntry()), INVALID, "id of the table is missing"),
        (p4r.Entity(), INVALID, "entity is missing"),
    ]
    with pytest.raises(Refused) as refused:
        await client.insert(*(entity for entity, _, _ in cases))
    assert refused.value.code == "UNKNOWN"
    for (entity, code, text), seen, message in zip(cases, refused.value.codes, refused.value.texts, strict=True):
        assert (seen, text in message) == (code, True), (entity, seen, message)
    assert await client.read(names.entry("exact_t"), names.entry("lpm_t"), names.entry("mixed_t")) == []


async def test_the_rest_of_a_batch_is_carried_out(client: Client) -> None:
    names = client.names
    good = [names.entry("exact_t", {1: n, 2: 0}, names.action("forward", n)) for n in range(1, 4)]
    bad = names.entry("exact_t", {1: 9, 2: 0}, names.action("drop"))
    assert await client.codes(INSERT, good[0], bad, good[1], bad, good[2]) == [0, INVALID, 0, INVALID, 0]
    assert len(await client.read(names.entry("exact_t"))) == 3


async def test_a_full_table_says_so_and_takes_more_after_a_delete(client: Client) -> None:
    names = client.names
    entries = [names.entry("mixed_t", {4: n}, names.action("forward", 1), priority=1) for n in range(17)]
    assert await client.codes(INSERT, *entries) == [0] * 16 + [FULL]
    await client.delete(entries[3])
    await client.insert(entries[16])


async def test_default_action_is_set_read_and_put_back(client: Client) -> None:
    names = client.names
    default = names.entry("exact_t", is_default_action=True)
    [read] = await client.read(default)
    assert read.table_entry.action.action == names.action("NoAction")
    await client.modify(names.entry("exact_t", {}, names.action("forward", 5), is_default_action=True))
    [read] = await client.read(default)
    assert read == names.entry("exact_t", {}, names.action("forward", 5), is_default_action=True)
    await client.modify(default)
    [read] = await client.read(default)
    assert read.table_entry.action.action == names.action("NoAction")


async def test_default_action_refuses_what_the_program_fixed(client: Client) -> None:
    names = client.names
    default = names.entry("exact_t", {}, names.action("forward", 5), is_default_action=True)
    assert await client.codes(INSERT, default) == [INVALID]
    assert await client.codes(DELETE, default) == [INVALID]
    with_key = names.entry("exact_t", {1: 1, 2: 2}, names.action("forward", 5), is_default_action=True)
    with_priority = names.entry("exact_t", {}, names.action("forward", 5), is_default_action=True, priority=4)
    table_only = names.entry("exact_t", {}, names.action("to_group", 5), is_default_action=True)
    const = names.entry("lpm_t", {}, names.action("forward", 5), is_default_action=True)
    assert await client.codes(MODIFY, with_key, with_priority, table_only, const) == [
        INVALID,
        INVALID,
        DENIED,
        DENIED,
    ]
    [read] = await client.read(names.entry("lpm_t", is_default_action=True))
    assert read.table_entry.action.action == names.action("drop") and read.table_entry.is_const


async def test_const_entries_read_and_nothing_else(client: Client) -> None:
    names = client.names
    read = [entity.table_entry for entity in await client.read(names.entry("const_t"))]
    assert sorted(entry.priority for entry in read) == [1, 2]
    assert all(entry.is_const for entry in read)
    first = max(read, key=lambda entry: entry.priority)
    expected = names.entry("const_t", {1: "0x1000&0xf000"}, names.action("forward", 21), priority=2, is_const=True)
    assert first == expected.table_entry
    new = names.entry("const_t", {1: "5&15"}, names.action("forward", 1), priority=9)
    old = names.entry("const_t", {1: "0x1000&0xf000"}, names.action("forward", 1), priority=2)
    assert await client.codes(INSERT, new) == [DENIED]
    assert await client.codes(MODIFY, old) == [DENIED]
    assert await client.codes(DELETE, old) == [DENIED]


async def test_initial_entries_are_like_any_others(client: Client) -> None:
    names = client.names
    read = [entity.table_entry for entity in await client.read(names.entry("initial_t"))]
    assert {entry.match[0].exact.value: entry.is_const for entry in read} == {b"\x30\x01": False, b"\x30\x02": False}
    await client.modify(names.entry("initial_t", {1: 0x3001}, names.action("forward", 1)))
    await client.delete(names.entry("initial_t", {1: 0x3002}))
    await client.insert(*(names.entry("initial_t", {1: n}, names.action("forward", n)) for n in range(7)))
    assert len(await client.read(names.entry("initial_t"))) == 8
    assert await client.codes(INSERT, names.entry("initial_t", {1: 9}, names.action("forward", 2))) == [FULL]


async def test_reads_filter_by_action_priority_and_metadata(client: Client) -> None:
    names = client.names
    await client.insert(
        names.entry("exact_t", {1: 1, 2: 0}, names.action("forward", 1), metadata=b"red"),
        names.entry("exact_t", {1: 2, 2: 0}, names.action("copy_to", 2), metadata=b"blue"),
        names.entry("exact_t", {1: 3, 2: 0}, names.action("forward", 3), controller_metadata=12),
        names.entry("mixed_t", {4: 1}, names.action("forward", 1), priority=5),
        names.entry("mixed_t", {4: 2}, names.action("forward", 1), priority=6),
    )

    async def count(**filters: object) -> int:
        table = str(filters.pop("table", "exact_t"))
        action = filters.pop("action", None)
        query = names.entry(table, {}, action if isinstance(action, p4r.Action) else None, **filters)
        return len(await client.read(query))

    assert await count() == 3
    assert await count(action=p4r.Action(action_id=names.id("forward"))) == 2
    assert await count(metadata=b"blue") == 1
    assert await count(controller_metadata=12) == 1
    assert await count(table="mixed_t", priority=6) == 1
    everything = await client.read(p4r.Entity(table_entry=p4r.TableEntry()))
    assert len(everything) == 5 + 2 + 2


async def test_a_read_answers_valid_queries_and_names_the_others(client: Client) -> None:
    names = client.names
    bad = p4r.Entity(table_entry=p4r.TableEntry(table_id=0x02FFFFFF))
    with pytest.raises(Refused) as refused:
        await client.read(names.entry("const_t"), bad, p4r.Entity())
    assert refused.value.codes == [0, INVALID, INVALID]
    assert await client.read(names.entry("exact_t", {1: 1, 2: 1})) == []


async def test_a_read_of_thousands_of_entries_comes_whole(client: Client) -> None:
    names = client.names
    entries = [names.entry("lpm_t", {1: f"{n << 16}/16"}, names.action("forward", 1)) for n in range(1, 1001)]
    await client.insert(*entries)
    read = await client.read(names.entry("lpm_t"))
    assert sorted(map(repr, read)) == sorted(map(repr, entries))


async def test_other_atomicity_is_not_offered(client: Client) -> None:
    update = p4r.Update(type=INSERT, entity=client.names.entry("exact_t", {1: 1, 2: 1}))
    with pytest.raises(Refused, match="UNIMPLEMENTED"):
        await client.write(update, atomicity=p4r.WriteRequest.ROLLBACK_ON_ERROR)
