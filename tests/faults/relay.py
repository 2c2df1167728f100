"""A line with a delay that can be cut: passes TCP connections on, each byte a while after it came.

python relay.py FROM TO DELAY FOLDER    FROM and TO are ADDRESS:PORT; DELAY in seconds, in each direction

Writes what it carried to FOLDER/carried.jsonl, ten times a second: bytes towards TO and back, and the number of cuts.
FOLDER/cut holds `up` or `down` and a number of bytes: when that many more have gone towards TO, or back, the
relay resets all connections, as does a router that lost its memory; the file is then deleted.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time
from pathlib import Path

CHUNK, CHUNKS = 16384, 64  # at most a megabyte waits in each direction
KERNEL = 65536
"""Of the line's own bytes no more wait in the kernel, however seldom a busy machine lets this process run."""


class Relay:
    """All connections of a line, and what they have carried."""

    def __init__(self, target, delay, folder):
        self.target, self.delay, self.folder = target, delay, folder
        self.carried = {"up": 0, "down": 0}
        self.cuts = 0
        self.cut_at = None
        self.open = set()

    async def accept(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            far_writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, KERNEL)
        far_writer.transport.set_write_buffer_limits(high=CHUNK)
        pair = (writer, far_writer)
        self.open.add(pair)
        try:
            await asyncio.gather(self.carry(reader, far_writer, "up"), self.carry(far_reader, writer, "down"))
        except OSError:
            pass
        finally:
            self.open.discard(pair)
            for one in pair:
                one.transport.abort()

    async def carry(self, reader, writer, way):
        waiting = asyncio.Queue(CHUNKS)

        async def take():
            while chunk := await reader.read(CHUNK):
                if way == "down":
                    self.count(way, chunk)
                await waiting.put((time.monotonic() + self.delay, chunk))
            await waiting.put((0, b""))

        async def give():
            while True:
                due, chunk = await waiting.get()
                await asyncio.sleep(max(0, due - time.monotonic()))
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()
                if way == "up":
                    self.count(way, chunk)

        await asyncio.gather(take(), give())

    def count(self, way, chunk):
        self.carried[way] += len(chunk)
        if self.cut_at is not None and self.carried[self.cut_at[0]] >= self.cut_at[1]:
            self.cut()

    def cut(self):
        self.cut_at = None
        (self.folder / "cut").unlink(missing_ok=True)
        self.cuts += 1
        for pair in self.open:
            for one in pair:
                with contextlib.suppress(OSError):  # it was closed already
                    one.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                one.transport.abort()

    async def tell(self):
        with (self.folder / "carried.jsonl").open("a", buffering=1) as lines:
            while True:
                now = {"at": time.monotonic(), **self.carried, "cuts": self.cuts}
                lines.write(json.dumps(now) + "\n")
                asked = self.folder / "cut"
                if self.cut_at is None and asked.exists():
                    way, more = asked.read_text().split()
                    self.cut_at = way, self.carried[way] + int(more)
                await asyncio.sleep(0.1)


async def main(near, far, delay, folder):
    relay = Relay(far, delay, folder)
    server = await asyncio.start_server(relay.accept, *near, limit=CHUNK)
    async with server:
        await relay.tell()


def end(text):
    address, _, port = text.rpartition(":")
    return address, int(port)


if __name__ == "__main__":
    asyncio.run(main(end(sys.argv[1]), end(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))
