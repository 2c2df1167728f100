"""Whose an identity is: only what the study's authority certified, for this site, now, and signed by its key."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.federation.passports import NOW, passports

from flame.errors import ConfigError, UpdateRejected
from flame.federation.credentials import Passport, check_credential, make_credential

KEY = bytes(range(32))
PASSPORTS = passports(["site-1", "site-2"])
AUTHORITY = PASSPORTS["site-1"].authority


def test_a_credential_gives_the_public_key_that_the_site_signed() -> None:
    credential = make_credential("site-1", KEY, PASSPORTS["site-1"])
    assert check_credential(credential, "site-1", AUTHORITY, NOW) == KEY


def test_what_is_not_the_sites_own_is_refused() -> None:
    mine = make_credential("site-1", KEY, PASSPORTS["site-1"])
    foreign = make_credential("site-1", KEY, passports(["site-1"], authority="elsewhere")["site-1"])
    stolen = make_credential("site-1", KEY, PASSPORTS["site-2"])
    for credential, reason in (
        (foreign, "has no certificate of this study"),
        (stolen, "shows the certificate of somebody else"),
        (replace(mine, certificate=b"none"), "has no certificate of this study"),
        (replace(mine, public_key=KEY[::-1]), "did not sign its identity"),
        (replace(mine, signature=bytes(256)), "did not sign its identity"),
        (replace(mine, public_key=KEY[:8]), "shows a key of another kind"),
    ):
        with pytest.raises(UpdateRejected, match=f"site 'site-1' {reason}"):
            check_credential(credential, "site-1", AUTHORITY, NOW)


@pytest.mark.parametrize("days", [-2, 366])
def test_a_certificate_counts_while_it_is_valid(days: int) -> None:
    credential = make_credential("site-1", KEY, PASSPORTS["site-1"])
    with pytest.raises(UpdateRejected, match="has a certificate that is valid until 2027-03-01 only"):
        check_credential(credential, "site-1", AUTHORITY, NOW + timedelta(days=days))


def test_a_kit_whose_key_is_damaged_says_so() -> None:
    with pytest.raises(ConfigError, match="private key can't be read"):
        make_credential("site-1", KEY, Passport(b"", b"none", AUTHORITY))
