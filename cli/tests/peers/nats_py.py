"""One conversation of nats-py with a broker: `nats_py.py SCENARIO URL`. Ends with 0 if all went as it should."""

import asyncio
import os
import subprocess
import sys

import nats
from nats import errors


async def connect(url, **options):
    return await nats.connect(url, allow_reconnect=False, connect_timeout=10, **options)


async def publish_subscribe(url):
    one, two = await connect(url, name="one"), await connect(url, name="two")
    assert one.connected_server_version.major == 2
    plain = await one.subscribe("greet.joe")
    star = await one.subscribe("greet.*")
    everything = await one.subscribe("greet.>")
    await one.flush()
    await two.publish("greet.joe", b"hello")
    await two.publish("greet.joe.now", b"deep")
    await two.publish("greet", b"nobody")
    await two.flush()
    for subscription in (plain, star, everything):
        message = await subscription.next_msg(10)
        assert (message.subject, message.data) == ("greet.joe", b"hello"), message
    message = await everything.next_msg(10)
    assert (message.subject, message.data) == ("greet.joe.now", b"deep"), message
    await one.flush()
    assert plain.pending_msgs == star.pending_msgs == everything.pending_msgs == 0
    await one.close()
    await two.close()


async def queue_group(url):
    publisher = await connect(url)
    counts = [0, 0, 0, 0]
    clients = []
    for number in range(4):
        client = await connect(url)

        async def count(_, number=number):
            counts[number] += 1

        await client.subscribe("work", queue="workers", cb=count)
        await client.flush()
        clients.append(client)
    for number in range(2000):
        await publisher.publish("work", str(number).encode())
    # This client's flush may overtake what it published, so the members leave only once all has come.
    await reached(lambda: sum(counts) >= 2000)
    for client in clients:
        await client.drain()
    assert sum(counts) == 2000, counts
    assert all(count > 300 for count in counts), counts
    await publisher.close()


async def reached(done):
    while not done():
        await asyncio.sleep(0.01)


async def request_reply(url):
    server, client = await connect(url), await connect(url)

    async def answer(message):
        await message.respond(b"re: " + message.data)

    await server.subscribe("service", cb=answer)
    await server.flush()
    reply = await client.request("service", b"question", timeout=10)
    assert reply.data == b"re: question"
    reply = await client.request("service", b"again", timeout=10, old_style=True)
    assert reply.data == b"re: again"
    await server.close()
    await client.close()


async def concurrent_requests(url):
    servers = [await connect(url) for _ in range(3)]
    client = await connect(url)
    for server in servers:

        async def answer(message):
            await message.respond(b"re: " + message.data)

        await server.subscribe("service.*", queue="q", cb=answer)
        await server.flush()

    async def ask(number):
        reply = await client.request(f"service.{number}", str(number).encode(), timeout=30)
        assert reply.data == f"re: {number}".encode(), reply.data

    await asyncio.gather(*(ask(number) for number in range(1000)))
    for connection in (*servers, client):
        await connection.close()


async def no_responders(url):
    client = await connect(url)
    try:
        await client.request("nobody", b"x", timeout=10)
    except errors.NoRespondersError:
        pass
    else:
        raise AssertionError("somebody answered")
    await client.close()


async def headers(url):
    one, two = await connect(url), await connect(url)
    subscription = await one.subscribe("h")
    await one.flush()
    await two.publish("h", b"body", headers={"Key": "value", "Other": "a: b"})
    await two.publish("h", b"", headers={"Only": "headers"})
    await two.publish("h", b"plain")
    message = await subscription.next_msg(10)
    assert message.data == b"body" and message.headers == {"Key": "value", "Other": "a: b"}, message
    message = await subscription.next_msg(10)
    assert message.data == b"" and message.headers == {"Only": "headers"}, message
    message = await subscription.next_msg(10)
    assert message.data == b"plain" and not message.headers, message
    await one.close()
    await two.close()


async def drain(url):
    one, two = await connect(url), await connect(url)
    got = []

    async def take(message):
        got.append(int(message.data))

    await one.subscribe("d", cb=take)
    await one.flush()
    for number in range(500):
        await two.publish("d", str(number).encode())
    await two.flush()
    await reached(lambda: len(got) == 500)
    await one.drain()
    assert one.is_closed
    assert got == list(range(500)), len(got)
    await two.publish("d", b"501")
    await two.flush()
    await two.close()


async def auto_unsubscribe(url):
    one, two = await connect(url), await connect(url)
    got = []

    async def take(message):
        got.append(message.data)

    subscription = await one.subscribe("a", cb=take)
    await subscription.unsubscribe(limit=5)
    await one.flush()
    for _ in range(20):
        await two.publish("a", b"x")
    await two.flush()
    await reached(lambda: len(got) >= 5)
    await one.drain()
    assert len(got) == 5, got
    await two.close()


async def max_payload(url):
    client = await connect(url)
    assert client.max_payload == 1024 * 1024
    try:
        await client.publish("big", b"x" * (client.max_payload + 1))
    except errors.MaxPayloadError:
        pass
    else:
        raise AssertionError("the client let it pass")
    subscription = await client.subscribe("big")
    await client.publish("big", b"x" * client.max_payload)
    message = await subscription.next_msg(10)
    assert len(message.data) == client.max_payload
    # Past the client's own check, to hear the broker's word; the payload stays away so that nothing is reset.
    said = await last_word(url, f"PUB big {client.max_payload + 1}\r\n".encode())
    assert "maximum payload violation" in said, said
    await client.close()


async def invalid_subject(url):
    said = await last_word(url, b"SUB foo..bar 77\r\n")
    assert "invalid subject" in said, said


async def last_word(url, command):
    """What the client took for the end when the broker answered `command`: it closes on most errors."""
    closed = asyncio.Event()

    async def on_closed():
        closed.set()

    client = await connect(url, closed_cb=on_closed)
    await client._send_command(command)
    await client._flush_pending()
    await asyncio.wait_for(closed.wait(), 10)
    return str(client.last_error).lower()


async def reconnect(_):
    binary, shards = os.environ["MUSTER_BIN"], os.environ["MUSTER_SHARDS"]

    def start(port):
        arguments = [binary, "broker", "-a", "127.0.0.1", "-p", str(port), "--shards", shards]
        broker = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        for line in broker.stderr:
            if "Listening for client connections on " in line:
                return broker, int(line.strip().rsplit(":", 1)[1])
        raise AssertionError("the broker did not start")

    broker, port = start(0)
    try:
        lost, found = asyncio.Event(), asyncio.Event()

        async def on_lost():
            lost.set()

        async def on_found():
            found.set()

        client = await nats.connect(
            f"nats://127.0.0.1:{port}",
            disconnected_cb=on_lost,
            reconnected_cb=on_found,
            reconnect_time_wait=0.1,
            max_reconnect_attempts=-1,
        )
        subscription = await client.subscribe("again")
        await client.flush()
        broker.terminate()
        assert broker.wait(10) == 0
        await asyncio.wait_for(lost.wait(), 10)
        broker, same = start(port)
        assert same == port
        await asyncio.wait_for(found.wait(), 20)
        await client.flush()
        await client.publish("again", b"back")
        message = await subscription.next_msg(10)
        assert message.data == b"back"
        await client.close()
    finally:
        broker.terminate()
        broker.wait(10)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        publish_subscribe,
        queue_group,
        request_reply,
        concurrent_requests,
        no_responders,
        headers,
        drain,
        auto_unsubscribe,
        max_payload,
        invalid_subject,
        reconnect,
    )
}

if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(SCENARIOS[sys.argv[1]](sys.argv[2]), 60))
