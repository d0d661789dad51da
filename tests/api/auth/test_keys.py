"""Signatures, addresses and nonces against vectors of the vendor's documents and programs."""

from __future__ import annotations

import hashlib
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.api.auth.keys import (
    AddressError,
    KeyMaterialError,
    Sr25519Key,
    b58decode,
    b58encode,
    multisig_address,
    public_key_of,
    ss58_decode,
    ss58_encode,
    verify,
)
from dbc_iac.secret import SecretText
from tests.api.support import key, nonce

W1 = "5Dy8ULx1De6u3WE9ixpy1VKK2CVssvsjQT15qcmQsG662Zj4"
W2 = "5HgVTsXnUBmaL5F2RBjKmXMoAeG9Avuyk9tmgnnVx28u2ZrS"
SERVER = "fcf2cd8b99958606d260ca00c5ac00c88c242bcf8eb38e7cc3f29e9719a73f39"
VECTORS = [
    (
        W1,
        "5q7KRn4d8EmXFFsim8vHBp23N2CpERbD2mWR3WCo1o3teZnGxYEh4N6",
        "2460725b2f5e737cd810c773be61b9b27c3b9dbdac4af9cf25c7be9949ad7202"
        "a0b7467f71ad843888f482662d3ae2e4fa566d3c1930a3fa90f3dcb97ea4098d",
        True,
    ),
    (
        W2,
        "5t1mv263Qpnu5tk5xPDk86oXGUX8yXaYGpAWj2n6gU45HNmsQqLaAU7",
        "c494cc517f3c181fd7206d03175b5c0c29d162e53aa88c557887241d10445627"
        "2dc313501c8ae4e71dbcbae183942a119713974aff87aa1ef3870aa505be6384",
        True,
    ),
    (  # a session
        W1,
        "3QRjS1PsbDReGJKVBBRqxUh9RqXB5jbfHJ8bMgGoJ3C9HHHHm9rCmmh",
        "ca89d0adb44a03c6f22a9205a06e22f682805f8c8ee25dd182e36ceb58189900"
        "1196ce94c40e2147247f967256d7e010318e4387853939d94ba99c81f16a358f",
        True,
    ),
    (  # a session
        W1,
        "663dmJngqu1yUmENnFM6PEsaeCKXTc4XHj6NfYbnA1ooLXuMDpNLmZu",
        "34a67c17e0233ea712b4b5dc4181d9f5cbdb429c7cf43e867d55efeaf632d43c"
        "55a02729a57d0351df8bf93f7cbd07a9982ed731158c0f738e33f048421d3888",
        True,
    ),
    (
        "5G6Bb5Lo9em2wxm2NcSGiV4APxp5Fr9LtvMSLEspRVSq1yUF",
        "3hjGT9XYyh7Auf85nMHcE7zUUTTDkjzaGoeAojC2vdUnE8DXXuUdZ7g",
        "1e500ac6352889453e972ba59ba0f78318531b30c5d607c6ea585e0b8c36a149"
        "59bd82ee7005666208bb39ab08884418133600476e91c2d29d383c3441711087",
        True,
    ),
    (  # random text, not Base58Check
        "5HL92dTnQrZSJZy7ckDVYVt9mMX3NsjShWsYDquB3eB3yb5R",
        "kSWt37l46P88KNbG0pr2UZSz4vfSYzc0JIo5dFINBH4rgy1kOmdzyFX",
        "46adbf9faa8cd7c63de85da8246efa2dd368fda720431539c8abd78b6224fc20"
        "b6fbed1e2e2d086edc954f2a60bcfe0d575091a01115cc6aca62d82bee822d84",
        True,
    ),
    (  # a node key: the wallet is hexadecimal
        SERVER,
        "3bxrsXVW2z2ELH7G9RvF7BMUQkEGkBfQhd8YD5r8somf3UdNWcEYAFa",
        "6e120a3d9dbaa13b286de5b1ef8cda5aa81c60fbd5eaae48bfadb460c3e3b33a"
        "1f7196e0bba39a85cef0951bb3cd6c16615d0c7710c1c068bcef73db61cc1e8f",
        True,
    ),
    (  # two examples of the public document that were edited: they must fail
        "ccd9a2118ba3c95cd458302601f15281edc39d72dcf11a07527893d97ac1a573",
        "5tYLiAF9vVP8bRqSfV9DfZnizsDNY7dNeEWrSUAY8f1LKiZqBu8zaVs",
        "3c680ba745af6695981fe2b30aedf6861749f570d9a6fe949930caf4613c225d"
        "4a674c33ec3d4af26c20caf871dd0f3a7cb4e0c045f12c211a345781054fc282",
        False,
    ),
    (
        SERVER,
        "3bxrsXVW2z2ELH7G9RvF7BMUQkEGkBfQhd8YD5r8somf3UdNWcEYAFa",
        "e096764ac7462220bc9b8fa223b81cfb9a501eaea9ea355c0d561b6fe61cb729"
        "abed61e5d8488178856e198d9cde51c37e2aac8886cb5e7b674591b1eca8108f",
        False,
    ),
]


@pytest.mark.parametrize(("wallet", "text", "signature", "valid"), VECTORS, ids=range(1, 10))
def test_signatures_of_the_vendor_s_programs(wallet: str, text: str, signature: str, valid: bool) -> None:
    assert verify(public_key_of(wallet), text, signature) is valid
    assert verify(public_key_of(wallet), text, f"0x{signature}") is valid
    assert not verify(public_key_of(wallet), text + " ", signature)


def test_a_signature_is_128_hexadecimal_digits_that_verify() -> None:
    renter = key("renter")
    signature = renter.sign(nonce(0))
    assert len(signature) == 128
    assert int(signature, 16)
    assert verify(renter.public_key, nonce(0).text, signature)


@pytest.mark.parametrize("nonsense", ["", "zz", "ab", "0x", "é" * 128, "00" * 64])
def test_nonsense_is_no_signature(nonsense: str) -> None:
    assert not verify(key("renter").public_key, "x", nonsense)


def test_a_seed_gives_the_address_of_the_recordings() -> None:
    assert key("renter").address == "5DqW85iW5bjhfu8geVDkXuFVU9DyD3jF2vJXXUCRK34fy8Nh"
    assert key("renter").node_id == "4e66c690024ba04ac098a969d7cd2e333df007cd42b7dddd3768b2a574d0671b"


def test_a_seed_may_be_written_with_0x_and_in_capitals() -> None:
    seed = hashlib.sha256(b"made-up-renter").hexdigest()
    same = [Sr25519Key.from_seed(SecretText(form)) for form in (seed, f"0x{seed}", seed.upper(), f" {seed}\n")]
    assert {one.address for one in same} == {key("renter").address}


@pytest.mark.parametrize("seed", ["", "0x", "ab" * 31, "ab" * 33, "zz" * 32])
def test_what_is_no_seed_is_refused_without_showing_it(seed: str) -> None:
    with pytest.raises(KeyMaterialError) as refused:
        Sr25519Key.from_seed(SecretText(seed))
    assert not seed or seed not in str(refused.value)


DEVELOPMENT = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"


@pytest.mark.parametrize(
    ("path", "address"),
    [  # published addresses of Substrate's development phrase
        ("//Alice", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
        ("//Bob/test", "5CJGwWiKXSE16WJaxBdPZhWqUYkotgenLUALv7ZvqQ4TXeqf"),
        ("/Bob//test", "5Cwc8tShrshDJUp1P1M21dKUTcYQpV9GcfSa4hUBNmMdV3Cx"),
        ("//1//5000", "5Dr9GrefZzxfeHovyiKUXKYGKRRiTbPhfLo14iYcHKNccN9q"),
        ("//PathNameLongerThan32BytesWhichShouldBeHashed", "5GR5pfZeNs1uQiSWVxZaQiZou3wdZiX894eqgvfNfHbEh7W2"),
        ("//rococo-validator-profiled-node-0", "5Ea3JZpvsBN34jiQwVrLiMh5ypaHtPSyM2DWQvLmSRioEmyk"),
    ],
)
def test_derivation_paths_of_a_mnemonic(path: str, address: str) -> None:
    derived = Sr25519Key.from_mnemonic(SecretText(DEVELOPMENT), path)
    assert derived.address == address
    assert verify(derived.public_key, nonce(0).text, derived.sign(nonce(0)))


def test_a_mnemonic_s_password_gives_another_key_and_spacing_does_not() -> None:
    plain = Sr25519Key.from_mnemonic(SecretText(DEVELOPMENT))
    assert Sr25519Key.from_mnemonic(SecretText(f" {DEVELOPMENT}\n".replace(" ", "  "))).address == plain.address
    assert Sr25519Key.from_mnemonic(SecretText(DEVELOPMENT), password=SecretText("x")).address != plain.address


@pytest.mark.parametrize("path", ["Alice", "//", "/", "//Alice/", "///Alice"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(KeyMaterialError):
        key("renter").derive(path)


def test_a_mistyped_mnemonic_is_refused_without_showing_it() -> None:
    with pytest.raises(KeyMaterialError) as refused:
        Sr25519Key.from_mnemonic(SecretText(DEVELOPMENT.replace("walk", "drive")))
    assert "lake" not in str(refused.value)


def test_without_the_extra_a_mnemonic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bip39", None)
    with pytest.raises(KeyMaterialError, match=r"dbc-iac\[mnemonic\]"):
        Sr25519Key.from_mnemonic(SecretText(DEVELOPMENT))


def test_a_key_shows_its_address_only() -> None:
    renter = key("renter")
    seed = hashlib.sha256(b"made-up-renter").hexdigest()
    assert renter.address in repr(renter)
    assert seed not in repr(renter)
    with pytest.raises(TypeError):
        pickle.dumps(renter)


@given(st.binary(max_size=64))
def test_base58_is_reversible(raw: bytes) -> None:
    assert b58decode(b58encode(raw)) == raw


@given(st.binary(min_size=32, max_size=32))
def test_an_address_is_reversible(public_key: bytes) -> None:
    address = ss58_encode(public_key)
    assert address.startswith("5")
    assert ss58_decode(address) == public_key


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (W1[:-1] + "5", "checksum"),
        ("16ADqpMa4yzfmWs3nuTSMhfZ2ckeGtvqhPWCNqECEGDcGgU2", "another network"),
        (W1[:-1], "32-byte"),
        ("5" + "0" * 47, "base58"),
        ("", "32-byte"),
    ],
)
def test_an_address_is_checked(address: str, why: str) -> None:
    with pytest.raises(AddressError, match=why):
        ss58_decode(address)


def test_the_multisig_account_of_the_public_document() -> None:
    members = [W1, W2, "5DhBmvUkj9YWvdDtJWJwaGrFRpzeqW4Ch5oTyTamXG2LMHVQ"]
    account = "5HCCnfuhuHKVMSSMQsrmJ7y7zV25uSYvH34DjQMJfL9sqjmw"
    assert multisig_address(members, 2) == account
    assert multisig_address(members[::-1], 2) == account
    assert multisig_address(members, 3) != account


def test_the_multisig_account_of_the_recordings() -> None:
    members = [key(name).address for name in ("ms1", "ms2", "ms3")]
    assert multisig_address(members, 2) == "5EdoCrLD3U1WUoZxrNLnrSgPHCzK7bs2Ev5uddBJZZeziEfM"


@pytest.mark.parametrize(("wallets", "threshold"), [([W1, W2], 0), ([W1, W2], 3), ([W1, W1], 2), ([], 1)])
def test_an_impossible_multisig_is_refused(wallets: list[str], threshold: int) -> None:
    with pytest.raises(ValueError, match="multisig"):
        multisig_address(wallets, threshold)
