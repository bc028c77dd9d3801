"""The virtual-time loop that other tests stand on."""

import asyncio

from tests.support.virtual_time import VirtualClock, virtual_time


@virtual_time
async def test_a_week_passes_in_no_time() -> None:
    """Sleeping moves both clocks on without waiting."""
    clock = VirtualClock(epoch=1000.0)
    await clock.sleep(7 * 86400)
    assert clock.monotonic() == 7 * 86400
    assert clock.time() == 1000.0 + 7 * 86400


@virtual_time
async def test_timers_fire_in_order() -> None:
    """Whoever sleeps shorter wakes first."""
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    await asyncio.gather(*(sleeper(seconds) for seconds in (300, 1, 60)))
    assert woken == [1, 60, 300]


@virtual_time
async def test_time_stands_still_while_a_thread_works() -> None:
    """A timer does not overtake a busy executor thread."""
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    timer = asyncio.create_task(asyncio.wait_for(gate.wait(), 3600))

    def work() -> float:
        return sum(range(200_000)) * 0.0

    await loop.run_in_executor(None, work)
    assert loop.time() == 0.0
    gate.set()
    await timer


@virtual_time
async def test_real_sockets_of_the_same_loop_are_served_first() -> None:
    """A loopback exchange takes no virtual time, although a timer waits."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()
    assert asyncio.get_running_loop().time() < 1.0
