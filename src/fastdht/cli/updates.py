"""Commands about what keys name: publish, follow (BEP 46), resolve (pkarr). Rate class: command."""
from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import click

from fastdht.cli.keys import key_dir_option, read_key
from fastdht.cli.options import NodeCommand, NodeOptions, Remote, node_options, remote_option
from fastdht.cli.params import INFO_HASH, SEQ, TIMEOUT, parse_public_key
from fastdht.cli.peers import explain_rejection
from fastdht.cli.plain import WRITE_COLUMNS, plain_write, write_rows
from fastdht.cli.render import emit, emit_json, emit_remark
from fastdht.cli.run import run_async
from fastdht.cli.session import Session, note_lookup, open_session
from fastdht.crypto import SigningKey, mutable_target
from fastdht.errors import DecodeError, DHTError, WriteRejected
from fastdht.links import Magnet
from fastdht.ops.updates import INFO_HASH_KEY, TorrentUpdate
from fastdht.pkarr import SignedPacket, decode_key, load_dns, sign as sign_records
from fastdht.stats import WriteReport
from fastdht.types import InfoHash, NodeId

HEX_KEY_DIGITS = 64


class NamedKey(click.ParamType):  # type: ignore[type-arg]     # generic only since click 8.3
    """A public key: 64 hexadecimal digits, z-base-32 as pkarr writes it, or a magnet link of BEP 46."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_named_key(value.strip())
        except (DecodeError, ValueError) as error:
            self.fail(str(error), param, ctx)


def parse_named_key(text: str) -> tuple[bytes, bytes]:
    """Key and salt."""
    if text.lower().startswith("magnet:"):
        magnet = Magnet.parse(text)
        if magnet.public_key is None:
            raise ValueError("the magnet link names no key (xs=urn:btpk:)")
        return magnet.public_key, magnet.salt
    if len(text) == HEX_KEY_DIGITS:
        return parse_public_key(text), b""
    return decode_key(text), b""


@click.command(cls=NodeCommand)
@click.argument("info_hash", type=INFO_HASH, metavar="[INFOHASH]", required=False)
@click.option("--key", "key_name", required=True, metavar="NAME|FILE", help="Whose name it gets; see genkey.")
@key_dir_option
@click.option("--salt", default="", metavar="TEXT", help="To name several torrents with one key, up to 64 bytes.")
@click.option("--seq", type=SEQ, metavar="N",
              help="Sequence number. Default: one more than the newest found.")
@click.option("--record", "records", multiple=True, metavar="'NAME TTL TYPE DATA'",
              help="A DNS record instead of an infohash, for `resolve`; @ is the key itself. May be repeated.")
@remote_option
@node_options
def publish(info_hash: InfoHash | None, key_name: str, key_dir: Path, salt: str, seq: int | None,
            records: tuple[str, ...], remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Say which torrent a key names now (BEP 46), and print the magnet link for `follow`.

    With --record, publish DNS records under the key as pkarr does, and print its name. --wait keeps it published.
    Fails when no node accepts it.
    """
    if (info_hash is None) == (not records):
        raise click.UsageError("an infohash or --record needed, not both")
    if records and (salt or seq is not None):
        raise click.UsageError("--salt and --seq are for torrents; records have none, and the time as number")
    key = read_key(key_name, key_dir)
    packet = sign_records(key, parse_records(records)) if records else None
    run_async(run_publish(info_hash, key, salt.encode(), seq, packet, remote, options))


async def run_publish(info_hash: InfoHash | None, key: SigningKey, salt: bytes, seq: int | None,
                      packet: SignedPacket | None, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        asked = await session.remotes(remote, NodeId(mutable_target(key.public_key, salt)))
        try:
            if packet is not None:
                report, name = await session.node.put_item(packet.item(), to=asked), f"pk:{packet.name}"
            else:
                assert info_hash is not None
                value = {INFO_HASH_KEY: bytes(info_hash)}
                report = await session.node.put_mutable(key, value, salt=salt, seq=seq, to=asked)
                name = str(Magnet(public_key=key.public_key, salt=salt))
        except WriteRejected as error:
            explain_rejection(error)
            raise
        show_published(report, name, options)
        await keep(session, report, key, salt)


def parse_records(texts: tuple[str, ...]) -> list[Any]:
    """dnspython's RRsets of lines as in a zone file. Raises UsageError."""
    dns = load_dns("dns.rrset", "dns.exception", "dns.rdataclass", "dns.name")
    found = []
    for text in texts:
        parts = text.split(None, 3)
        if len(parts) != 4 or not parts[1].isdigit():
            raise click.UsageError(f"--record {text!r}: NAME TTL TYPE DATA needed, as in '@ 300 A 192.0.2.1'")
        name, ttl, kind, data = parts
        try:
            found.append(dns.rrset.from_text(dns.name.from_text(name, None), int(ttl), "IN", kind, data))
        except (dns.exception.DNSException, ValueError) as error:
            raise click.UsageError(f"--record {text!r}: {error}") from None
    return found


def show_published(report: WriteReport, name: str, options: NodeOptions) -> None:
    note_lookup(report.lookup)
    if options.as_json:
        emit_json(plain_write(report) | {"name": name})
        return
    click.echo(name)
    emit_remark(f"stored at {report.accepted} of {len(report.outcomes)} nodes, seq {report.seq}")
    if report.conflicts:
        emit(False, {}, WRITE_COLUMNS, write_rows(report))


async def keep(session: Session, report: WriteReport, key: SigningKey, salt: bytes) -> None:
    """With --wait: see that it stays published until a signal."""
    if not session.options.wait:
        return
    item = await session.node.get_mutable(key.public_key, salt=salt, seq=report.seq)
    async with session.node.keep_published(item):
        await session.finish()


@click.command(cls=NodeCommand)
@click.argument("key", type=NamedKey(), metavar="HEX64|MAGNET")
@click.option("--salt", default=None, metavar="TEXT", help="What it was published with, unless the link says.")
@click.option("--seq", type=SEQ, metavar="N", help="Only what is newer than this.")
@click.option("--every", type=TIMEOUT, default="10m", show_default=True, metavar="DURATION",
              help="How often to look, at least 10s.")
@click.option("-n", "count", type=click.IntRange(1), metavar="N", help="End after so many. Default: never.")
@node_options
def follow(key: tuple[bytes, bytes], salt: str | None, seq: int | None, every: float, count: int | None,
           options: NodeOptions) -> None:
    """Print each torrent that a key comes to name (BEP 46), the present one first.

    One infohash a line, with --json one object a line. Runs until Ctrl-C, or -n torrents.
    """
    public_key, found_salt = key
    run_async(run_follow(public_key, found_salt if salt is None else salt.encode(), -1 if seq is None else seq, every,
                         count, options))


async def run_follow(public_key: bytes, salt: bytes, seq: int, every: float, count: int | None,
                     options: NodeOptions) -> None:
    async with open_session(options) as session:
        await session.join()
        updates = session.node.follow(public_key, salt=salt, seq=seq, every=every)
        shown = 0
        with contextlib.suppress(asyncio.CancelledError):
            async for update in updates:
                show_update(update, options)
                shown += 1
                if shown == count:
                    break


def show_update(update: TorrentUpdate, options: NodeOptions) -> None:
    if options.as_json:
        emit_json({"info_hash": update.info_hash.hex(), "seq": update.seq})
    else:
        click.echo(str(update.info_hash))


@click.command(cls=NodeCommand)
@click.argument("key", type=NamedKey(), metavar="KEY")
@click.option("--name", default=None, metavar="NAME",
              help="Only records of this name below the key; @ is the key itself.")
@remote_option
@node_options
def resolve(key: tuple[bytes, bytes], name: str | None, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Print the DNS records published under a key, as pkarr does: z-base-32, pk:…, or 64 hexadecimal digits.

    Fails when there are none.
    """
    run_async(run_resolve(key[0], name, remote, options))


async def run_resolve(public_key: bytes, name: str | None, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        asked = await session.remotes(remote, NodeId(mutable_target(public_key)))
        packet = SignedPacket.from_item(await session.node.get_mutable(public_key, to=asked))
        records = plain_records(packet, name)
        value = {"name": packet.name, "timestamp_us": packet.timestamp, "records": records}
        rows = [(each["name"], str(each["ttl"]), each["type"], each["data"]) for each in records]
        emit(options.as_json, value, ("name", "ttl", "type", "data"), rows)
        if not records:
            raise DHTError(f"{packet.name} has no records" + (f" of {name}" if name else ""))
        await session.finish()


def plain_records(packet: SignedPacket, name: str | None) -> list[dict[str, Any]]:
    dns = load_dns("dns.rdatatype")
    rrsets = packet.message().answer if name is None else packet.records(name)
    return [{"name": rrset.name.to_text(), "ttl": rrset.ttl, "type": dns.rdatatype.to_text(rrset.rdtype),
             "data": rdata.to_text()} for rrset in rrsets for rdata in rrset]
