"""The one line between a site and the coordinator, tried as the engine will use it: TCP, then TLS on both sides."""

import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator

from flame.federation.certificates import Papers
from flame.federation.doctor import Condition

__all__ = ["port_condition", "reach"]

TIMEOUT_S = 10.0

QUIET_S = 1.0
"""How long to wait for an objection: in TLS 1.3 a side that refuses a certificate says so after the handshake."""

_PORT, _TLS = "coordinator's port", "TLS with the coordinator"


def reach(
    address: str, port: int, papers: Papers, name: str, timeout_s: float = TIMEOUT_S, quiet_s: float = QUIET_S
) -> Iterator[Condition]:
    """Try to reach the coordinator with a kit's own certificate; nothing is sent beyond the handshake.

    Args:
        address: of the coordinator, as the study names it.
        port: its one port.
        papers: of the kit.
        name: that the coordinator's certificate has to hold; the address is not looked at, as the engine does not.
        timeout_s: for each step [s].
        quiet_s: how long to wait for an objection to the kit's certificate [s].
    """
    where = f"{address}:{port}"
    try:
        line = socket.create_connection((address, port), timeout_s)
    except OSError as error:
        yield Condition(_PORT, "error", f"{where}: {_why(error)}", _advice(error))
        return
    with line:
        yield Condition(_PORT, "ok", f"{where} answers")
        yield _shake(line, papers, name, quiet_s)


def _shake(line: socket.socket, papers: Papers, name: str, quiet_s: float) -> Condition:
    try:
        peer = _peer(line, papers, quiet_s)
    except ssl.SSLCertVerificationError as error:
        said = f"its certificate does not hold: {error.verify_message}"
        return Condition(_TLS, "error", said, "Compare clocks; ask the coordinator whether the kits are of one study.")
    except ssl.SSLError as error:
        said = f"refused: {error.reason or error}"
        return Condition(_TLS, "error", said, "Ask the coordinator whether this kit is still valid; compare clocks.")
    except OSError as error:
        said = f"broken off: {_why(error)}"
        return Condition(_TLS, "error", said, "Something else listens there, or a firewall cuts TLS: let it through.")
    if name not in _names(peer[0]):
        said = f"the other side is {', '.join(_names(peer[0])) or 'nobody'}, not {name}"
        return Condition(_TLS, "error", said, "Look at address and port in the study.")
    return Condition(_TLS, "ok", f"both certificates hold, and the other side is {name}")


def _peer(line: socket.socket, papers: Papers, quiet_s: float = QUIET_S) -> tuple[dict[str, object], bytes]:
    """The other side's certificate, verified, once it had the time to object to ours; as words and as bytes.

    Raises: OSError, of which ssl.SSLError is a kind: if either side refuses.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(papers.root)
    context.load_cert_chain(papers.certificate, papers.key, password="")  # never ask at the terminal
    with context.wrap_socket(line) as secured:
        peer, content = secured.getpeercert(), secured.getpeercert(binary_form=True)
        secured.settimeout(quiet_s)
        with contextlib.suppress(TimeoutError):
            secured.recv(1)
        return dict(peer or {}), content or b""


def _names(peer: dict[str, object]) -> list[str]:
    subject = peer.get("subject", ())
    return [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[attr-defined]


def port_condition(port: int, papers: Papers) -> Condition:
    """Whether a coordinator's port is free to listen at, or held by this coordinator itself, which then runs."""
    subject = "own port"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return Condition(subject, "error", f"{port}: {_why(error)}", "Choose a port above 1023 in study.toml.")
        else:
            return Condition(subject, "ok", f"{port} is free", f"Let sites through the firewall to port {port}.")
    if _is_own(port, papers):
        return Condition(subject, "ok", f"{port} is held by this coordinator: it runs")
    said = f"{port} is held by another program"
    return Condition(subject, "error", said, "End that program, or choose another port in study.toml.")


def _is_own(port: int, papers: Papers) -> bool:
    """Whether who listens at the port shows the kit's own certificate."""
    try:
        own = ssl.PEM_cert_to_DER_cert(papers.certificate.read_text(encoding="ascii"))
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as line:
            return _peer(line, papers)[1] == own
    except (OSError, ValueError):
        return False


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or type(error).__name__).lower()


def _advice(error: OSError) -> str:
    match error:
        case socket.gaierror():
            return "The name is not known here: ask your network's people, or enter it in /etc/hosts."
        case ConnectionRefusedError():
            return "Let the coordinator start, or compare the port with the study's."
        case _:
            return "Let your firewall open this one outbound connection; it needs no inbound one."
