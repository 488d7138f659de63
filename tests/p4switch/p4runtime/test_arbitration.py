"""Client arbitration: P4Runtime specification, "Client Arbitration and Controller Replication"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from finsy.proto import p4r, stratum

from tests.p4switch.client import Client, Refused, connect
from tests.p4switch.conftest import Switch

OK, NOT_FOUND, EXISTS = 0, 5, 6


class Clients:
    """Opens clients of one switch."""

    def __init__(self, switch: Switch, stack: AsyncExitStack) -> None:
        self.switch, self._stack = switch, stack

    async def __call__(self, election_id: int | None) -> Client:
        opened = connect(self.switch.address, self.switch.program.names, 1, election_id)
        return await self._stack.enter_async_context(opened)


@pytest.fixture
async def clients(switch: Switch) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(switch, stack)


async def told(client: Client) -> tuple[int, int]:
    """(election id, status) of the next arbitration message."""
    notice = await client.receive("arbitration")
    assert notice.device_id == 1
    return notice.election_id.high << 64 | notice.election_id.low, notice.status.code


async def test_highest_election_id_wins_and_all_are_told(clients: Clients) -> None:
    low, high = await clients(5), await clients(1 << 100)
    await low.arbitrate()
    assert await told(low) == (5, OK)
    await high.arbitrate()
    assert await told(high) == (1 << 100, OK)
    assert await told(low) == (1 << 100, EXISTS)
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await low.push(clients.switch.program.config)
    await high.push(clients.switch.program.config)


async def test_a_later_lower_id_is_a_backup_and_disturbs_nobody(clients: Clients) -> None:
    first, second = await clients(9), await clients(3)
    await first.arbitrate()
    assert await told(first) == (9, OK)
    await second.arbitrate()
    assert await told(second) == (9, EXISTS)
    assert await first.silent()


async def test_after_the_primary_has_gone_nobody_writes_until_someone_asks(clients: Clients) -> None:
    primary, backup = await clients(9), await clients(3)
    await primary.arbitrate()
    assert await told(primary) == (9, OK)
    await backup.arbitrate()
    assert await told(backup) == (9, EXISTS)
    primary.close()
    assert await told(backup) == (9, NOT_FOUND)
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await backup.push(clients.switch.program.config)
    backup.election_id = 9
    await backup.arbitrate()
    assert await told(backup) == (9, OK)
    await backup.push(clients.switch.program.config)


async def test_a_primary_may_step_down(clients: Clients) -> None:
    one, two = await clients(9), await clients(3)
    await one.arbitrate()
    assert await told(one) == (9, OK)
    await two.arbitrate()
    assert await told(two) == (9, EXISTS)
    one.election_id = 2
    await one.arbitrate()
    assert await told(one) == (9, NOT_FOUND)
    assert await told(two) == (9, NOT_FOUND)


async def test_without_an_election_id_one_only_listens(clients: Clients) -> None:
    listener = await clients(None)
    await listener.arbitrate()
    notice = await listener.receive("arbitration")
    assert not notice.HasField("election_id") and notice.status.code == NOT_FOUND
    zero = await clients(0)
    await zero.arbitrate()
    assert await told(zero) == (0, OK)
    assert await told(listener) == (0, EXISTS)
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await listener.write()


async def test_election_ids_are_unique_among_the_living(clients: Clients) -> None:
    one, two = await clients(4), await clients(4)
    await one.arbitrate()
    await one.receive("arbitration")
    await two.arbitrate()
    with pytest.raises(Refused, match=r"INVALID_ARGUMENT: Election id 4 is already used"):
        await two.receive("arbitration")
    three = await clients(3)
    await three.arbitrate()
    await three.receive("arbitration")
    three.election_id = 4
    await three.arbitrate()
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await three.receive("arbitration")


async def test_device_and_role_are_fixed_for_a_stream(clients: Clients) -> None:
    stranger = await clients(1)
    await stranger.arbitrate(device_id=2)
    with pytest.raises(Refused, match="NOT_FOUND"):
        await stranger.receive("arbitration")
    known = await clients(1)
    await known.become_primary()
    await known.arbitrate(device_id=2)
    with pytest.raises(Refused, match="FAILED_PRECONDITION"):
        await known.receive("arbitration")
    another = await clients(1)
    await another.become_primary()
    await another.arbitrate(role=p4r.Role(name="other"))
    with pytest.raises(Refused, match="FAILED_PRECONDITION"):
        await another.receive("arbitration")


async def test_calls_for_another_device_are_not_found(clients: Clients) -> None:
    client = await clients(1)
    await client.become_primary()
    client.device_id = 2
    with pytest.raises(Refused, match="NOT_FOUND"):
        await client.write()
    with pytest.raises(Refused, match="NOT_FOUND"):
        await client.read()
    with pytest.raises(Refused, match="NOT_FOUND"):
        await client.config()


async def test_calls_before_a_pipeline(clients: Clients) -> None:
    client = await clients(1)
    await client.become_primary()
    with pytest.raises(Refused, match=r"FAILED_PRECONDITION: No forwarding pipeline config"):
        await client.write()
    with pytest.raises(Refused, match="FAILED_PRECONDITION"):
        await client.read()
    assert not (await client.config()).HasField("config")


async def test_each_role_has_its_own_primary_and_its_own_tables(clients: Clients) -> None:
    everything = await clients(7)
    await everything.become_primary()
    await everything.push(clients.switch.program.config)
    names = everything.names
    config = stratum.P4RoleConfig(exclusive_p4_ids=[names.id("lpm_t")])
    role = p4r.Role(name="routes")
    role.config.Pack(config)
    routes = await clients(7)
    await routes.arbitrate(role=role)
    notice = await routes.receive("arbitration")
    assert notice.status.code == OK and notice.role == role
    routes.role = "routes"
    await routes.insert(names.entry("lpm_t", {}, names.action("drop")))
    assert await routes.codes(p4r.Update.INSERT, names.entry("exact_t", {1: 1, 2: 1})) == [7]
    await everything.insert(names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1)))
    every_table = p4r.Entity(table_entry=p4r.TableEntry())
    assert {entity.table_entry.table_id for entity in await routes.read(every_table)} == {names.id("lpm_t")}
    assert names.id("exact_t") in {entity.table_entry.table_id for entity in await everything.read(every_table)}
    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await routes.push(clients.switch.program.config)
    everything.role = "nobody"
    with pytest.raises(Refused, match="NOT_FOUND"):
        await everything.write()


async def test_a_role_config_of_another_kind_is_refused(clients: Clients) -> None:
    role = p4r.Role(name="odd")
    role.config.Pack(p4r.Uint128(low=1))
    client = await clients(1)
    await client.arbitrate(role=role)
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await client.receive("arbitration")


async def test_capabilities(clients: Clients) -> None:
    client = await clients(1)
    answer = await client.call("Capabilities", p4r.CapabilitiesRequest())
    assert answer.p4runtime_api_version == "1.4.0"
