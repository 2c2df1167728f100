"""A line with a delay that can be cut: passes TCP connections on, each byte a while after it came.

python relay.py FROM TO DELAY FOLDER    FROM and TO are ADDRESS:PORT; DELAY in seconds, in each direction

Writes what it carried to FOLDER/carried.jsonl, ten times a second: bytes towards TO and back, and the number of cuts.
FOLDER/cut holds a number of bytes: when that many more have gone towards TO, all connections are reset, as by a router
that lost its memory; the file is then deleted.
"""

import asyncio
import json
import socket
import struct
import sys
import time
from pathlib import Path

CHUNK, CHUNKS = 16384, 64  # at most a megabyte waits in each direction


class Relay:
    """All connections of a line, and what they have carried."""

    def __init__(self, target, delay, folder):
        self.target, self.delay, self.folder = target, delay, folder
        self.up = self.down = self.cuts = 0
        self.cut_at = None
        self.open = set()

    async def accept(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        far_writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        far_writer.transport.set_write_buffer_limits(high=CHUNK)
        pair = (writer, far_writer)
        self.open.add(pair)
        try:
            await asyncio.gather(self.carry(reader, far_writer, True), self.carry(far_reader, writer, False))
        except OSError:
            pass
        finally:
            self.open.discard(pair)
            for one in pair:
                one.transport.abort()

    async def carry(self, reader, writer, up):
        waiting = asyncio.Queue(CHUNKS)

        async def take():
            while chunk := await reader.read(CHUNK):
                if not up:
                    self.down += len(chunk)
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
                if up:
                    self.up += len(chunk)
                    if self.cut_at is not None and self.up >= self.cut_at:
                        self.cut()

        await asyncio.gather(take(), give())

    def cut(self):
        self.cut_at = None
        (self.folder / "cut").unlink(missing_ok=True)
        self.cuts += 1
        for pair in self.open:
            for one in pair:
                one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.transport.abort()

    async def tell(self):
        with (self.folder / "carried.jsonl").open("a", buffering=1) as lines:
            while True:
                now = {"at": time.monotonic(), "up": self.up, "down": self.down, "cuts": self.cuts}
                lines.write(json.dumps(now) + "\n")
                asked = self.folder / "cut"
                if self.cut_at is None and asked.exists():
                    more = int(asked.read_text())
                    self.cut_at = self.up + more
                    if more == 0:
                        self.cut()
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
