"""Authorities, certificates and listeners of our own, for tests of what a kit's owner shows and sees."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flame.federation.certificates import Papers

__all__ = ["NOW", "Authority", "held_port", "listening", "plain"]

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Issues certificates; its own is valid from a year ago for ten years."""

    def __init__(self, name: str = "study") -> None:
        self.name, self.key = name, ec.generate_private_key(ec.SECP256R1())
        self.root = self._certificate(name, self.key, NOW - 365 * DAY, NOW + 3650 * DAY, is_authority=True)

    def _certificate(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        begin: datetime,
        end: datetime,
        is_authority: bool = False,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=_name(self.name),
            subject_name=_name(name),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=begin,
            not_valid_after=end,
        ).add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def issue(
        self, folder: Path, name: str, begin: datetime = NOW - 30 * DAY, end: datetime = NOW + 300 * DAY
    ) -> Papers:
        """Certificate, key and root of somebody, as files."""
        folder.mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        papers = Papers(folder / "own.crt", folder / "own.key", folder / "root.pem")
        pem = serialization.Encoding.PEM
        papers.certificate.write_bytes(self._certificate(name, key, begin, end).public_bytes(pem))
        papers.root.write_bytes(self.root.public_bytes(pem))
        content = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        papers.key.write_bytes(content)
        papers.key.chmod(0o600)
        return papers


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port at which nobody listens and which nobody else is given meanwhile; our own listeners may have it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextlib.contextmanager
def plain(answer: bytes | None = None, port: int = 0) -> Iterator[int]:
    """A port of a program that knows no TLS: it answers whatever comes, or says nothing."""

    def serve(line: socket.socket) -> None:
        if answer is not None:
            line.recv(1000)
            line.sendall(answer)
        else:
            line.recv(100_000)
            line.recv(100_000)  # until the other side gives up

    with _served(serve, port) as found:
        yield found


@contextlib.contextmanager
def listening(papers: Papers, port: int = 0) -> Iterator[int]:
    """A port of a coordinator's: TLS, and whoever comes has to show a certificate of the same root."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(papers.root)
    context.load_cert_chain(papers.certificate, papers.key)

    def serve(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as secured:
            secured.recv(1)

    with _served(serve, port) as found:
        yield found


@contextlib.contextmanager
def _served(serve: Callable[[socket.socket], None], port: int) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", port)) as door:
        door.settimeout(0.05)
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                try:
                    line, _ = door.accept()
                except TimeoutError:
                    continue
                with line, contextlib.suppress(OSError):
                    line.settimeout(60)
                    serve(line)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            over.set()
            thread.join()
