"""Life cycle of the daemon: restarts, saved worlds, pruning, monitors, node information, admin actions."""

from __future__ import annotations

import json

import pytest

from dbc_iac.emulator.gpu.pruning import BLOCKS_A_DAY
from dbc_iac.emulator.gpu.states import DomainState
from tests.emulator.gpu.harness import CREATE, RENTER, Caller, Node, Order, Rentals, machine_rental, run, spec

OK = "ok"


def _ordered() -> Rentals:
    """One order for everything, on a chain that lists orders."""
    return Rentals({"7": Order("7", gpu_num=2, gpu_index=[0, 1])}, listed=["7"])


async def _rented(node: Node, order: str = "7") -> str:
    """A running VM with an order."""
    reply = await node.ask("tasks.create", caller=Caller(rent_order=order), **CREATE)
    await node.until(reply["task_id"], "running")
    await node.idle()
    return str(reply["task_id"])


# -- restarts --------------------------------------------------------------------------------------


def test_a_restart_loses_the_queue_and_rebuilds_statuses_from_the_domains() -> None:
    async def test() -> None:
        images = [{"name": "ubuntu.qcow2"}, {"name": "bad.qcow2", "guest": {"starts": False}}]
        images.append({"name": "worse.qcow2", "guest": {"defines": False}})
        node = Node(spec(images=images), machine_rental())
        good = await node.created()
        bad = await node.create(image_name="bad.qcow2", ssh_port="1", vnc_port="6001")
        worse = await node.create(image_name="worse.qcow2", ssh_port="2", vnc_port="6002")
        await node.until(worse, "create error")
        await node.ask("tasks.reset", good)
        await node.ask("tasks.shutdown", good)
        lost = await node.create(ssh_port="3", vnc_port="6003")
        node.node.restart()
        assert [await node.status(one) for one in (good, bad, worse, lost)] == ["running", "closed", "gone", "gone"]
        await node.clock.sleep(60)
        assert await node.status(good) == "running"
        assert node.admin.truth()["queue"] == []

    run(test)


def test_a_restart_reads_the_hosts_addresses_as_one_with_that_of_an_earlier_public_ip() -> None:
    async def test() -> None:
        node = Node(spec(host_ip="10.0.0.2"), machine_rental())
        first = await node.created(public_ip="203.0.113.50")
        assert await node.ask("tasks.modify", first, new_public_ip="") == OK
        before = await node.created(ssh_port="1", vnc_port="6001")
        node.node.restart()
        after = await node.created(ssh_port="2", vnc_port="6002")
        assert [bool(node.admin.truth()["vms"][one]["forwards"]) for one in (before, after)] == [True, False]
        lines = (await node.ask("tasks.logs", after))["log_content"]
        number = next(i for i, line in enumerate(lines) if line.endswith("create iptable successful, host_ip:10.0.0.2"))
        assert lines[number + 1].startswith("203.0.113.50 ssh_port:2 rdp_port:0 custom_port.size:0 task_local_ip:")

    run(test)


def test_vms_that_ran_are_started_again() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        node.admin.set_domain(task_id, DomainState.SHUTOFF)
        node.node.restart()
        assert await node.status(task_id) == "running"

    run(test)


def test_libvirt_completes_its_operation_after_a_crash_of_the_daemon() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        await node.ask("tasks.shutdown", task_id)
        await node.clock.sleep(1)
        node.node.die()
        assert node.deaths == 1
        assert node.node.machine.libvirt.state(task_id) is DomainState.SHUTOFF

    run(test)


def test_a_saved_world_is_loaded_as_it_was() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        await node.ask("lan.create", network_name="testnet", ip_cidr="192.168.66.0/24")
        running = await node.created(network_name="testnet", gpu_count="1")
        off = await node.closed(ssh_port="1", vnc_port="6000")
        await node.ask("snapshot.create", off, server="ID_1", snapshot_name="s")
        await node.ask("monitor.set", servers=["127.0.0.1:1"])
        await node.clock.sleep(10)
        saved = json.loads(json.dumps(node.node.to_state()))
        again = Node(spec(), machine_rental())
        again.node.from_state(saved)
        for op, path in [
            ("tasks.list", ()),
            ("tasks.details", (running,)),
            ("tasks.details", (off,)),
            ("tasks.logs", (off,)),
            ("disk.list", (off,)),
            ("snapshot.list", (off,)),
            ("lan.list", ()),
            ("monitor", ()),
            ("mining_nodes", ()),
            ("images.list", ()),
        ]:
            assert await again.text(op, *path) == await node.text(op, *path), op
        assert await again.ask("tasks.start", off) == OK
        assert await again.until(off, "running") == "running"

    run(test)


def test_a_saved_world_has_no_queue() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        await node.ask("tasks.restart", task_id)
        await node.ask("tasks.shutdown", task_id)
        lost = await node.create(ssh_port="1", vnc_port="6000")
        again = Node(spec(), machine_rental())
        again.node.from_state(node.node.to_state())
        assert [await again.status(one) for one in (task_id, lost)] == ["running", "gone"]

    run(test)


# -- pruning ---------------------------------------------------------------------------------------


def test_on_a_chain_with_orders_a_vm_without_one_is_stopped() -> None:
    async def test() -> None:
        rentals = machine_rental()
        node = Node(spec(), rentals)
        task_id = await node.created()
        await node.clock.sleep(2000)
        assert await node.status(task_id) == "running"
        rentals.listed = []
        assert await node.until(task_id, "closed", 1000) == "closed"

    run(test)


def test_an_ended_order_stops_its_vms_and_three_days_later_deletes_them() -> None:
    async def test() -> None:
        rentals = _ordered()
        node = Node(spec(), rentals)
        task_id = await _rented(node)
        await node.clock.sleep(1000)
        assert await node.status(task_id) == "running"
        rentals.at_block = rentals.orders["7"].end + 1
        assert await node.until(task_id, "closed", 1000) == "closed"
        rentals.at_block += 3 * BLOCKS_A_DAY
        assert await node.until(task_id, "gone", 1000) == "gone"

    run(test)


def test_a_new_renter_stops_the_previous_renters_vms_and_removes_their_addresses() -> None:
    async def test() -> None:
        rentals = machine_rental()
        node = Node(spec(), rentals)
        task_id = await node.created(public_ip="203.0.113.9")
        rentals.renter = ("5Other", 2_000_000)
        assert await node.until(task_id, "closed", 1000) == "closed"
        assert (await node.ask("tasks.details", task_id))["ssh_ip"] == "203.0.113.7"
        rentals.at_block = 1_100_000 + 10 * BLOCKS_A_DAY + 1
        assert await node.until(task_id, "gone", 1000) == "gone"

    run(test)


@pytest.mark.parametrize(("status", "shown"), [("online", "closed"), ("committeeVerifying", "closed"), ("", "running")])
def test_an_unrented_machine_stops_its_vms(status: str, shown: str) -> None:
    async def test() -> None:
        rentals = machine_rental()
        node = Node(spec(), rentals)
        task_id = await node.created()
        rentals.status = status
        await node.admin.prune_now()
        assert await node.status(task_id) == shown

    run(test)


def test_a_create_stops_vms_whose_order_does_not_rent_any_more() -> None:
    async def test() -> None:
        rentals = _ordered()
        rentals.orders["8"] = Order("8", gpu_num=2, gpu_index=[0, 1])
        node = Node(spec(), rentals)
        task_id = await _rented(node)
        rentals.orders["7"].status = "rentExpired"
        await node.ask("tasks.create", caller=Caller(rent_order="8"), **CREATE)
        assert await node.status(task_id) == "closed"

    run(test)


# -- the node itself -------------------------------------------------------------------------------


def test_monitors_are_at_most_two_and_belong_to_a_wallet() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        good = ["127.0.0.1:10051"]
        for servers, reply, shown in [
            (good, OK, good),
            ("127.0.0.1:1", [1, "servers must be an array"], good),
            (["127.0.0.1"], [1, "server not match format ip:port"], good),
            (["a:1", "a:2", "a:3"], [1, "can not enter more than two servers"], good),
            ([], OK, []),
        ]:
            assert await node.ask("monitor.set", servers=servers) == reply
            assert await node.ask("monitor") == {"servers": shown}
        assert await node.ask("monitor.set") == OK
        await node.ask("monitor.set", servers=good)
        assert await node.ask("monitor", caller=Caller("5Other")) == {"servers": []}

    run(test)


def test_node_information_counts_gpus_and_pinned_memory() -> None:
    async def test() -> None:
        node = Node(spec(memory=64, ip="203.0.113.7"), machine_rental())
        before = await node.ask("mining_nodes")
        assert (before["ip"], before["gpu"]) == ("*.0.*.7", {"gpu_count": "2", "gpu_used": "0"})
        assert (before["mem"]["size"], before["mem"]["free"]) == ("64G", "63G")
        assert before["disk_data"][0] | {"type": "SSD"} == {
            "path": "/data", "type": "SSD", "size": "1024G", "free": "674G", "used_usage": "0%",
        }  # fmt: skip
        await node.created(gpu_count="1", mem_size="16")
        after = await node.ask("mining_nodes")
        assert (after["gpu"]["gpu_used"], after["mem"]["free"]) == ("1", "47G")

    run(test)


def test_a_big_host_keeps_32_gib() -> None:
    async def test() -> None:
        assert (await Node(spec(hostMemory=256), machine_rental()).ask("mining_nodes"))["mem"]["size"] == "224G"
        assert (await Node(spec(hostMemory=64), machine_rental()).ask("mining_nodes"))["mem"]["size"] == "64G"

    run(test)


def test_orders_are_listed_from_the_cache_at_most_51() -> None:
    async def test() -> None:
        rentals = Rentals({str(n): Order(str(n), gpu_num=1, gpu_index=[0]) for n in range(60)})
        orders = (await Node(spec(), rentals).ask("rent_orders", "7"))["rent_orders"]
        assert len(orders) == 51
        assert orders[0] == {
            "id": "0", "renter": RENTER, "rent_end": "1100000", "rent_status": "renting", "gpu_nums": "1",
            "gpu_index": [0],
        }  # fmt: skip

    run(test)


# -- the admin's hands -----------------------------------------------------------------------------


def test_truth_has_more_than_the_api() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created(custom_port=["tcp,8123", "x"])
        node.admin.grow_disk(task_id, "vdb", 5)
        truth = json.loads(json.dumps(node.admin.truth()))
        vm = truth["vms"][task_id]
        assert vm["image_name"] == "ubuntu.qcow2"
        assert vm["domain"]["state"] == "running"
        assert vm["disks"]["vdb"]["real"] - vm["disks"]["vdb"]["reported"] == 5 << 30
        assert vm["forwards"] == [
            {"protocol": "tcp", "host": "5684", "guest": "22"},
            {"protocol": "tcp", "host": "8123", "guest": "8123"},
        ]

    run(test)


def test_the_admin_api_causes_drift() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        task_id = await node.created()
        node.admin.change_vm(task_id, ssh_port=6000, network_filters=["in,all,all,0.0.0.0/0,drop"], desc='"')
        assert '"ssh_port":"6000"' in await node.text("tasks.details", task_id)
        assert '"desc":"""' in await node.text("tasks.list")
        with pytest.raises(AttributeError):
            node.admin.change_vm(task_id, nonsense=1)
        node.admin.remove_vm(task_id)
        assert await node.ask("tasks.list") == []

    run(test)


def test_another_tenant_allocates_gpus() -> None:
    async def test() -> None:
        node = Node(spec(), machine_rental())
        other = node.admin.occupy_gpus([0, 1])
        assert await node.ask("tasks.create", **CREATE | {"gpu_count": "1"}) == [1, "allocate gpu failed"]
        node.admin.remove_vm(other)
        await node.created(gpu_count="2")

    run(test)
