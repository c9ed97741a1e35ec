"""Commands about keys, without a network: genkey, sign (BEP 44). Rate class: command."""
from __future__ import annotations

import hashlib
from pathlib import Path

import click

from fastdht.cli.options import json_option
from fastdht.cli.params import SEQ
from fastdht.cli.render import emit_json, emit_remark
from fastdht.crypto import SigningKey, signing_buffer
from fastdht.items import sign_item
from fastdht.keyfiles import BEP44_NAME, key_path, load_key, save_key

key_dir_option = click.option(
    "--key-dir", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True, metavar="DIR",
    envvar="FASTDHT_KEY_DIR", help="Where NAME.key is.")
show_private_option = click.option("--show-private", is_flag=True, help="Show the private key too.")


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
              metavar="DIR", envvar="FASTDHT_KEY_DIR", help="Where to write NAME.key.")
@show_private_option
@json_option
def genkey(name: str, folder: Path, show_private: bool, as_json: bool) -> None:
    """Make an Ed25519 key in the file NAME.key, which only its owner can read, and print the public key.

    A key that exists is shown and stays as it is. The name bep44test is that of the public test key of BEP 44.
    """
    key, path = make_or_load(name, folder)
    if as_json:
        emit_json({"path": str(path) if path else None, "public_key": key.public_key.hex()}
                  | ({"private_key": expanded(key).hex()} if show_private else {}))
        return
    for line in key_lines(key, show_private):
        click.echo(line)


def make_or_load(name: str, folder: Path) -> tuple[SigningKey, Path | None]:
    """The key and its file, which is made where there was none."""
    if name == BEP44_NAME:
        return load_key(name), None
    path = key_path(name, folder)
    if path.exists():
        emit_remark(f"{path} exists; its key stays")
        return load_key(path), path
    key = SigningKey.generate()
    return key, save_key(key, path)


def read_key(name: str, folder: Path) -> SigningKey:
    """The key of --key. Raises PersistError for a file that is not there or holds none."""
    return load_key(name, folder)


def key_lines(key: SigningKey, show_private: bool) -> list[str]:
    private = [show_bytes("private key", expanded(key))] if show_private else []
    return [*private, show_bytes("public key", key.public_key)]


def expanded(key: SigningKey) -> bytes:
    """64 bytes, scalar and prefix: the form in which BEP 44 gives its test key."""
    if key.seed is None:
        return key.secret
    digest = bytearray(hashlib.sha512(key.seed).digest())
    digest[0] &= 0xF8
    digest[31] = digest[31] & 0x7F | 0x40
    return bytes(digest)


def show_bytes(name: str, value: bytes) -> str:
    return f"{name:11} (raw length: {len(value)}) {value.hex()}"


@click.command()
@click.argument("value")
@click.option("--key", "key_name", required=True, metavar="NAME|FILE", help="The key to sign with; see genkey.")
@key_dir_option
@click.option("--salt", default="", metavar="TEXT", help="Of the mutable item, up to 64 bytes.")
@click.option("--seq", type=SEQ, default="0", show_default=True, metavar="N",
              help="Sequence number of the mutable item.")
@show_private_option
@json_option
def sign(value: str, key_name: str, key_dir: Path, salt: str, seq: int, show_private: bool, as_json: bool) -> None:
    """Sign a value as a mutable item, without a network: what is signed, public key, signature, target."""
    key = read_key(key_name, key_dir)
    show_signed(key, value.encode(), salt.encode(), seq, show_private=show_private, as_json=as_json)


def show_signed(key: SigningKey, value: bytes, salt: bytes, seq: int, *, show_private: bool, as_json: bool) -> None:
    item = sign_item(key, value, seq=seq, salt=salt)
    assert item.signature is not None
    signed = signing_buffer(item.raw, seq, salt)
    if as_json:
        emit_json({"signed": signed.decode("utf-8", "replace"), "signed_hex": signed.hex(),
                   "public_key": key.public_key.hex(), "signature": item.signature.hex(), "target": item.target.hex(),
                   "seq": seq} | ({"private_key": expanded(key).hex()} if show_private else {}))
        return
    click.echo(f"benc val    (length: {len(signed)})     {signed.decode('utf-8', 'replace')}")
    for line in key_lines(key, show_private):
        click.echo(line)
    click.echo(show_bytes("value sign", item.signature))
    click.echo(f"target id   (raw length: 40) {item.target}")
