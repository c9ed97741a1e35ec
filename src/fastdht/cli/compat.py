"""`fastdht compat`: the flags of mh-cbon/dht, mapped to our commands. Rate class: command.

Flags are written as Go's flag package reads them: `-x v`, `-x=v`, `--x` too, and a boolean alone or with `=true` or
`=false`. What the flags say becomes the words of one of our commands, which then runs as if they had been typed.
"""
from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from fastdht import cli
from fastdht.keyfiles import BEP44_NAME

STATE_FILE = "bootstrap.json"       # in the working directory, as that program has it
TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


class Flag(NamedTuple):
    """A flag: its kind by its default, the option of ours it becomes (None: the action decides), what it means."""

    default: str | int | bool
    option: str | None
    meaning: str


FLAGS = {
    "annimplied": Flag(False, None, "announce_peer: peers reach us on the port that we send from"),
    "annport": Flag(0, None, "announce_peer: the port where peers reach us"),
    "blocklist": Flag("", "--block", "addresses to neither hear nor ask, as text: description:first-last"),
    "bnodes": Flag("", None, "whom to join through: public, no, a list of host:port, or those in bootstrap.json"),
    "did": Flag("", "--node-id", "own id, 40 hexadecimal digits"),
    "do": Flag("boostrap", None, "what to do"),
    "kconcurrency": Flag(8, "--bucket-refresh", "most silent or new contacts pinged a second"),
    "keyname": Flag("", None, f"get, put, sign, genkey: key in the file <name>.key; {BEP44_NAME} is BEP 44's"),
    "ksize": Flag(20, "--bucket-size", "contacts per bucket"),
    "listen": Flag("", "--listen", "address to listen on"),
    "pip": Flag("", "--public-ip", "own address as others see it"),
    "qconcurrency": Flag(24, "--query-concurrency", "most queries out at a time"),
    "qtimeout": Flag("1s", "--query-timeout", "when a query has failed"),
    "remote": Flag("", None, "whom to ask: a list of host:port, closest_store or closest_peers"),
    "salt": Flag("", None, "get, put, sign: salt of a mutable item"),
    "seq": Flag(0, None, "get: least acceptable sequence number; put, sign: the one to write"),
    "target": Flag("", None, "infohash, node id or item id, 40 hexadecimal digits, or self"),
    "tsecret": Flag("", "--token-secret", "makes write tokens outlive a restart"),
    "val": Flag("", None, "put, sign: the value"),
    "vv": Flag(False, "-vv", "each datagram in a line on stderr"),
    "wait": Flag(False, "--wait", "then go on serving until Ctrl-C"),
}
LOCAL = ("genkey", "sign")          # actions without a network

Values = dict[str, Any]


def join_words(values: Values) -> list[str]:
    return ["serve" if values["wait"] else "bootstrap"]


def lookup_words(command: str) -> Callable[[Values], list[str]]:
    return lambda values: [command, need(values, "target")]


def asking_words(command: str) -> Callable[[Values], list[str]]:
    return lambda values: [command, need(values, "target"), *given(values, "remote")]


def ping_words(values: Values) -> list[str]:
    target = ["--target", values["target"]] if values["target"] else []
    return ["ping", need(values, "remote"), *target]


def announce_words(values: Values) -> list[str]:
    port = ["--port", str(values["annport"])] if values["annport"] else []
    implied = ["--implied-port"] if values["annimplied"] else []
    if not port and not implied:
        raise click.UsageError("-do announce_peer needs -annport or -annimplied")
    return ["announce-peer", need(values, "target"), *port, *implied, *given(values, "remote")]


def get_words(values: Values) -> list[str]:
    key = ["--key", values["keyname"]] if values["keyname"] else []
    target = [values["target"]] if key and values["target"] else [] if key else [need(values, "target")]
    return ["get", *target, *key, "--seq", str(values["seq"]), *given(values, "salt"), *given(values, "remote")]


def put_words(values: Values) -> list[str]:
    return ["put", *signing_words(values), *given(values, "remote"), "--", values["val"]]


def signing_words(values: Values) -> list[str]:
    if not values["keyname"]:
        return []
    return ["--key", values["keyname"], "--seq", str(values["seq"]), *given(values, "salt")]


def genkey_words(values: Values) -> list[str]:
    return ["genkey", "--show-private", "--", need(values, "keyname")]


def sign_words(values: Values) -> list[str]:
    need(values, "keyname")
    return ["sign", "--show-private", *signing_words(values), "--", values["val"]]


ACTIONS: dict[str, Callable[[Values], list[str]]] = {
    "boostrap": join_words, "bootstrap": join_words,
    "closest_stores": lookup_words("closest-stores"), "closest_peers": lookup_words("closest-peers"),
    "ping": ping_words, "announce_peer": announce_words,
    "get_peers": asking_words("get-peers"), "find_node": asking_words("find-node"),
    "get": get_words, "put": put_words, "genkey": genkey_words, "sign": sign_words,
}


class GoCommand(click.Command):
    """Reads single-dash flags; everything else as any command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(each in ("-h", "-help", "--help") for each in args):
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        ctx.params["values"] = parse_flags(args)
        return []

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Flags"):
            formatter.write_dl([(show_flag(name, flag), flag.meaning) for name, flag in FLAGS.items()])


def show_flag(name: str, flag: Flag) -> str:
    if isinstance(flag.default, bool):
        return f"-{name}"
    kind = "N" if isinstance(flag.default, int) else "TEXT"
    return f"-{name} {kind}" + (f" ({flag.default})" if flag.default else "")


@click.command(cls=GoCommand, options_metavar="[-flag value]…")
@click.pass_context
def compat(ctx: click.Context, values: Values) -> None:
    """Take the single-dash flags of mh-cbon/dht and do what they say with our commands.

    -do is one of boostrap (or bootstrap), closest_stores, closest_peers, ping, announce_peer, get_peers, find_node,
    get, put, genkey, sign. Results go to stdout, -vv to stderr. The environment of our commands counts too.
    """
    words = translate(values)
    command = cli.main.get_command(ctx, words[0])
    assert command is not None
    with command.make_context(words[0], words[1:], parent=ctx.parent) as called:
        command.invoke(called)


def translate(values: Values) -> list[str]:
    """The words of our own command. Raises UsageError."""
    action = values["do"]
    if action not in ACTIONS:
        close = difflib.get_close_matches(action, ACTIONS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise click.UsageError(f"-do {action!r}: {hint}one of {', '.join(ACTIONS)}")
    words = ACTIONS[action](values)
    if action in LOCAL:
        return words
    return [words[0], *network_words(values), *words[1:]]


def network_words(values: Values) -> list[str]:
    words = []
    for name, flag in FLAGS.items():
        if flag.option is not None and values[name] is not False and values[name] != "":
            words += [flag.option] if values[name] is True else [flag.option, str(values[name])]
    nodes = values["bnodes"]
    if nodes == "no":
        return [*words, "--bootstrap", "none"]
    return [*words, "--state-file", STATE_FILE, "--bootstrap", nodes or "saved"]


def need(values: Values, name: str) -> str:
    if not values[name]:
        raise click.UsageError(f"-do {values['do']} needs -{name}")
    return str(values[name])


def given(values: Values, name: str) -> list[str]:
    """An option of the same name as the flag, where it has a value."""
    return [f"--{name}", str(values[name])] if values[name] else []


def parse_flags(args: list[str]) -> Values:
    """Every flag's value. Raises UsageError as Go's parser would."""
    values: Values = {name: flag.default for name, flag in FLAGS.items()}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name or word.startswith("---"):
            raise click.UsageError(f"{word!r} is no flag; flags are written -name value or -name=value")
        if name not in FLAGS:
            close = difflib.get_close_matches(name, FLAGS, n=1)
            hint = f"did you mean -{close[0]}?" if close else f"one of {', '.join('-' + each for each in FLAGS)}"
            raise click.UsageError(f"no flag -{name}; {hint}")
        is_boolean = isinstance(FLAGS[name].default, bool)
        if not has_value and not is_boolean:
            if not rest:
                raise click.UsageError(f"-{name} needs a value")
            value = rest.pop(0)
        values[name] = parse_value(name, value) if has_value or not is_boolean else True
    return values


def parse_value(name: str, text: str) -> str | int | bool:
    default = FLAGS[name].default
    if isinstance(default, bool):
        if text not in TRUE + FALSE:
            raise click.UsageError(f"-{name}={text}: true or false needed")
        return text in TRUE
    if not isinstance(default, int):
        return text
    try:
        return int(text, 0)
    except ValueError:
        raise click.UsageError(f"-{name} {text}: a whole number needed") from None
