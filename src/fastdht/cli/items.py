"""Commands about items: get, put (BEP 44). Rate class: command."""
from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from fastdht import bencode, crypto
from fastdht.cli.keys import key_dir_option, read_key
from fastdht.cli.options import NodeCommand, NodeOptions, Remote, node_options, remote_option
from fastdht.cli.params import PUBLIC_KEY, SEQ, TARGET
from fastdht.cli.peers import explain_rejection
from fastdht.cli.plain import WRITE_COLUMNS, plain_item, plain_value, plain_write, printable, write_rows
from fastdht.cli.render import emit, emit_json, emit_remark
from fastdht.cli.run import run_async
from fastdht.cli.session import note_lookup, open_session
from fastdht.errors import DecodeError, WriteRejected
from fastdht.items import make_item, sign_item
from fastdht.stats import WriteReport
from fastdht.types import Item, NodeId

KINDS = ("text", "hex", "json", "bencode")
STANDARD_INPUT = "-"
MAX_INPUT = 65_536          # bytes read of stdin: more is no item anyway


@click.command(cls=NodeCommand)
@click.argument("target", type=TARGET, metavar="[HEX40]", required=False)
@click.option("--key", "key_name", metavar="NAME|FILE", help="A mutable item of this key; see genkey.")
@click.option("--public-key", type=PUBLIC_KEY, metavar="HEX64", help="The same of a key that is somebody else's.")
@key_dir_option
@click.option("--salt", default="", metavar="TEXT", help="What the mutable item was stored with.")
@click.option("--seq", type=SEQ, metavar="N", help="Least acceptable sequence number of a mutable item.")
@click.option("--raw", is_flag=True, help="Print the bencoded value exactly as it is stored.")
@remote_option
@node_options
def get(target: NodeId | str | None, key_name: str | None, public_key: bytes | None, key_dir: Path, salt: str,
        seq: int | None, raw: bool, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Get the item under a target, or under a key and salt, and print its value.

    Its hash or signature is checked; of several mutable ones the newest counts. Fails when nobody has it.
    """
    if key_name is not None and public_key is not None:
        raise click.UsageError("--key and --public-key; one of them")
    if key_name is not None:
        public_key = read_key(key_name, key_dir).public_key
    if target is None and public_key is None:
        raise click.UsageError("a target, --key or --public-key needed")
    if public_key is not None:
        computed = NodeId(crypto.mutable_target(public_key, salt.encode()))
        if target not in (None, computed):
            raise click.UsageError(f"target {target} is not that of the key and salt, {computed}")
        target = computed
    assert target is not None
    run_async(run_get(target, salt.encode(), seq, raw, remote, options))


async def run_get(target: NodeId | str, salt: bytes, seq: int | None, raw: bool, remote: tuple[Remote, ...],
                  options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        wanted = session.target(target)
        asked = await session.remotes(remote, wanted)
        item = await session.node.get(wanted, salt=salt, seq=seq, to=asked)
        if options.as_json:
            emit_json(plain_item(item))
        else:
            print_item(item, raw)
        await session.finish()


def print_item(item: Item, raw: bool) -> None:
    """The value: text as it is, bytes that are none in hexadecimal, everything else as JSON."""
    if raw:
        sys.stdout.buffer.write(item.raw)
        sys.stdout.buffer.flush()
        return
    if isinstance(item.value, bytes):
        text = printable(item.value)
        click.echo(item.value.hex() if text is None else text)
    else:
        click.echo(json.dumps(plain_value(item.value), ensure_ascii=False))
    if item.is_mutable:
        emit_remark(f"seq {item.seq}")


@click.command(cls=NodeCommand)
@click.argument("value", metavar="VALUE|-")
@click.option("--as", "kind", type=click.Choice(KINDS), default="text", show_default=True,
              help="What VALUE is: a string, bytes in hexadecimal, JSON of strings, integers, lists and objects, or "
                   "bencode.")
@click.option("--key", "key_name", metavar="NAME|FILE", help="Sign it: a mutable item of this key; see genkey.")
@key_dir_option
@click.option("--salt", default="", metavar="TEXT", help="To keep several mutable items of one key, up to 64 bytes.")
@click.option("--seq", type=SEQ, metavar="N",
              help="Sequence number of a mutable item. Default: one more than the newest found.")
@click.option("--cas", type=SEQ, metavar="N", help="Write only over this sequence number.")
@remote_option
@node_options
def put(value: str, kind: str, key_name: str | None, key_dir: Path, salt: str, seq: int | None, cas: int | None,
        remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Store a value of up to 999 bytes, and print its target.

    It can be had for about two hours. VALUE - reads standard input. Fails when no node accepts it.
    """
    for name, given in (("--salt", bool(salt)), ("--seq", seq is not None), ("--cas", cas is not None)):
        if given and key_name is None:
            raise click.UsageError(f"{name} is for mutable items; give --key too")
    parsed = parse_value(value, kind)
    make_item(parsed)                       # what is wrong with it is said before anybody is asked
    key = read_key(key_name, key_dir) if key_name is not None else None
    run_async(run_put(parsed, key, salt.encode(), seq, cas, remote, options))


def parse_value(value: str, kind: str) -> object:
    if value == STANDARD_INPUT:
        data = sys.stdin.buffer.read(MAX_INPUT)
        if kind == "text":
            return data
        value = data.decode("utf-8", "surrogateescape")
    try:
        return PARSERS[kind](value)
    except (ValueError, DecodeError) as error:
        raise click.BadParameter(f"no {kind}: {error}", param_hint="VALUE") from None


PARSERS: dict[str, Callable[[str], object]] = {
    "text": lambda text: text.encode("utf-8", "surrogateescape"),
    "hex": lambda text: bytes.fromhex(text),
    "json": lambda text: json.loads(text),
    "bencode": lambda text: bencode.decode(text.encode("utf-8", "surrogateescape")),
}


async def run_put(value: object, key: crypto.SigningKey | None, salt: bytes, seq: int | None, cas: int | None,
                  remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        asked = await session.remotes(remote, item_target(value, key, salt))
        try:
            if key is None:
                report = await session.node.put(value, to=asked)
            else:
                report = await session.node.put_mutable(key, value, salt=salt, seq=seq, cas=cas, to=asked)
        except WriteRejected as error:
            explain_rejection(error)
            raise
        note_lookup(report.lookup)
        show_put(report, sign_again(key, value, salt, report), options)
        await session.finish()


def item_target(value: object, key: crypto.SigningKey | None, salt: bytes) -> NodeId:
    if key is None:
        return NodeId(crypto.immutable_target(bencode.encode(value)))
    return NodeId(crypto.mutable_target(key.public_key, salt))


def sign_again(key: crypto.SigningKey | None, value: object, salt: bytes, report: WriteReport) -> Item | None:
    """What was written; a signature of Ed25519 is the same each time."""
    return None if key is None or report.seq is None else sign_item(key, value, seq=report.seq, salt=salt)


def show_put(report: WriteReport, item: Item | None, options: NodeOptions) -> None:
    signed = {} if item is None or item.signature is None or item.public_key is None else {
        "public_key": item.public_key.hex(), "signature": item.signature.hex()}
    if options.as_json:
        emit_json(plain_write(report) | signed)
        return
    click.echo(str(report.target))
    if sys.stdout.isatty():
        emit(False, {}, WRITE_COLUMNS, write_rows(report))
    emit_remark(f"stored at {report.accepted} of {len(report.outcomes)} nodes"
                + (f", seq {report.seq}" if report.seq is not None else ""))
    for name, digits in signed.items():
        emit_remark(f"{name.replace('_', ' ')} {digits}")
    for outcome in report.conflicts:
        emit_remark(f"conflict at {outcome.contact.endpoint}: {outcome.error}")
