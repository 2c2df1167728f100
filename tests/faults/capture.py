"""Keeps every packet that a host sends or receives.

python capture.py DEVICE FILE

Each record is 4 bytes with the length of a frame, least significant first, and the frame.

The file is there as soon as the capture runs. SIGTERM ends it.
"""

import signal
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ARP", "IPV4", "TCP", "Packet", "packets"]

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
TCP, UDP, ICMPV6 = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMPV6
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
"""Of Linux: a buffer beyond the machine's bound, so that a busy machine loses no packet; Python has no name for it."""
LONGEST = 70_000  # a frame may be one that the card is to cut into many


@dataclass(frozen=True)
class Packet:
    """A packet of IPv4; if `kind` is another protocol, only `content` says more."""

    kind: int
    protocol: int
    source: str
    target: str
    source_port: int
    target_port: int
    number: int
    flags: int
    content: bytes

    @property
    def opens(self) -> bool:
        """Whether it asks for a new TCP connection."""
        return self.protocol == TCP and self.flags & 0x12 == 0x02

    @property
    def finds_neighbours(self) -> bool:
        """Whether it is IPv6's way to find who is on the same line: ICMPv6 alone, perhaps after a hop-by-hop header."""
        if self.kind != IPV6:
            return False
        following = self.content[6]
        return (self.content[40] if following == 0 else following) == ICMPV6


def packets(file: Path) -> Iterator[Packet]:
    """The packets of a capture, in the order in which they passed."""
    content, place = file.read_bytes(), 0
    while place + 4 <= len(content):
        (length,) = struct.unpack_from("<I", content, place)
        frame = content[place + 4 : place + 4 + length]
        place += 4 + length
        if len(frame) == length:  # the last one may be cut off
            yield _read(frame)


def _read(frame: bytes) -> Packet:
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind != IPV4:
        return Packet(kind, 0, "", "", 0, 0, 0, 0, frame[14:])
    packet = frame[14 : 14 + struct.unpack_from("!H", frame, 16)[0]]
    header, protocol = 4 * (packet[0] & 15), packet[9]
    source, target = (socket.inet_ntoa(packet[start : start + 4]) for start in (12, 16))
    body = packet[header:]
    if protocol == TCP:
        near, far, number = struct.unpack_from("!HHI", body)
        return Packet(kind, protocol, source, target, near, far, number, body[13], body[4 * (body[12] >> 4) :])
    if protocol == UDP:
        near, far = struct.unpack_from("!HH", body)
        return Packet(kind, protocol, source, target, near, far, 0, 0, body[8:])
    return Packet(kind, protocol, source, target, 0, 0, 0, 0, body)


def main(device: str, file: Path) -> None:
    """Capture until the process is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    line.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 2**26)
    line.bind((device, ETH_P_ALL))
    with file.open("wb") as kept:
        kept.flush()
        while True:
            frame = line.recv(LONGEST)
            kept.write(struct.pack("<I", len(frame)) + frame)
            kept.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
