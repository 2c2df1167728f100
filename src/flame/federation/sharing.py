"""Shamir's secret sharing: any `threshold` holders can put a secret together, fewer learn nothing at all.

After Shamir, How to share a secret, Communications of the ACM 22 (1979) 612-613: the secret is the value at 0 of a
random polynomial of degree `threshold` - 1 over a prime field, the shares are its values at 1, 2, 3, … The field is
that of 2**521 - 1 (the prime of NIST P-521): larger than any 256-bit secret, and with room for more than 255 holders.
Python's integers don't take constant time: who shares a machine with a site and can time it is not held off.
"""

from collections.abc import Callable, Sequence

__all__ = ["PRIME", "SECRET_BYTES", "SHARE_BYTES", "Random", "combine", "lagrange_weights", "split"]

PRIME = 2**521 - 1
SECRET_BYTES = 32
SHARE_BYTES = 66
_BITS = 521

Random = Callable[[int], bytes]
"""A source of random bytes: gives as many as it is asked for, as `os.urandom` does."""


def split(secret: bytes, threshold: int, holders: int, random: Random) -> tuple[bytes, ...]:
    """Shares of a secret; the one at index i belongs to point i + 1.

    Args:
        secret: 32 bytes.
        threshold: number of shares that give the secret back, 1 to `holders`.
        holders: number of shares.
        random: gives the polynomial; must be unpredictable outside tests.

    Returns: `holders` shares of 66 bytes each, most significant byte first.
    Raises: ValueError: if the secret has another length or the threshold is out of its range.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes, not {len(secret)}")
    if not 1 <= threshold <= holders:
        raise ValueError(f"threshold = {threshold}, expected 1 to {holders}")
    polynomial = [int.from_bytes(secret, "big"), *(_element(random) for _ in range(threshold - 1))]
    return tuple(_value(polynomial, point).to_bytes(SHARE_BYTES, "big") for point in range(1, holders + 1))


def lagrange_weights(points: Sequence[int]) -> tuple[int, ...]:
    """What the shares at `points` count in the value at 0 (Lagrange's interpolation); one set serves many secrets.

    Args:
        points: where the shares lie, as many as the threshold or more, different, >= 1; the order is free.

    Raises: ValueError: if points repeat or are out of range.
    """
    if len(set(points)) != len(points) or any(not 0 < point < PRIME for point in points):
        raise ValueError("the points of shares must be different and >= 1")
    return tuple(_weight(point, points) for point in points)


def combine(shares: Sequence[bytes], weights: Sequence[int]) -> bytes:
    """The secret, 32 bytes, out of its shares and the weights of their points, in the same order.

    Fewer shares than the threshold, or foreign ones, give another secret, if any: compare it with a commitment.

    Raises: ValueError: if a share is malformed, there are more or fewer than weights, or they give what can be no
        secret; no share is quoted.
    """
    if len(shares) != len(weights):
        raise ValueError(f"{len(shares)} shares and {len(weights)} weights")
    numbers = [int.from_bytes(share, "big") for share in shares]
    if any(len(share) != SHARE_BYTES for share in shares) or any(number >= PRIME for number in numbers):
        raise ValueError("a share is malformed")
    secret = sum(weight * number for weight, number in zip(weights, numbers, strict=True)) % PRIME
    if secret.bit_length() > 8 * SECRET_BYTES:
        raise ValueError("the shares do not belong together")
    return secret.to_bytes(SECRET_BYTES, "big")


def _weight(point: int, points: Sequence[int]) -> int:
    """Lagrange's coefficient at 0 of the value at `point`."""
    above, below = 1, 1
    for other in points:
        if other != point:
            above = above * other % PRIME
            below = below * (other - point) % PRIME
    return above * pow(below, -1, PRIME) % PRIME


def _value(polynomial: Sequence[int], point: int) -> int:
    """Value of a polynomial, lowest coefficient first, by Horner's rule."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * point + coefficient) % PRIME
    return value


def _element(random: Random) -> int:
    """A uniform element of the field: 521 bits, drawn again in the one case of 2**521 that is none."""
    while True:
        number = int.from_bytes(random(SHARE_BYTES), "big") >> (8 * SHARE_BYTES - _BITS)
        if number < PRIME:
            return number
