"""BEP 5: queries, replies, errors, tokens and announces. Rate class: command."""
from __future__ import annotations

from typing import Any

from fastdht import bencode
from fastdht.conform.checks import (
    PAD,
    Ask,
    Check,
    accepts,
    holds,
    refusal,
    refuses,
    shown,
    stays_silent,
)
from fastdht.conform.scene import Answer, Message, Raw, Scene
from fastdht.conform.verdicts import CONFORMS, Outcome, deviates, skipped
from fastdht.errors import DecodeError

K = 8                   # contacts of a reply
ID_SIZE = 20
NO_BENCODE = b"d1:ad2:id20:" + bytes(50)        # it begins like a query
NOBODY = b"none"         # a tid of no query; of 4 bytes, as some are hurt by others in replies


def judge_pong(scene: Scene, answer: Answer) -> Outcome:
    told = answer.body.get(b"id")
    if refused := refusal(answer):
        return refused
    if not isinstance(told, bytes) or len(told) != ID_SIZE:
        return deviates(f"`id` is {shown(told)}; {ID_SIZE} bytes needed")
    return CONFORMS


def judge_nodes(scene: Scene, answer: Answer) -> Outcome:
    return refusal(answer) or holds(answer, scene.own_key, bytes) or CONFORMS


def judge_get_peers(scene: Scene, answer: Answer) -> Outcome:
    if refused := refusal(answer):
        return refused
    if b"values" in answer.body or not holds(answer, scene.own_key, bytes):
        return CONFORMS
    return deviates(f"neither `values` nor `{scene.own_key}`")


def look_token(scene: Scene) -> Outcome:
    answer = scene.by_check["get-peers"]
    if missing := holds(answer, "token", bytes):
        return missing
    return CONFORMS if answer.bytes_of("token") else deviates("`token` is empty")


def ask_with(top: Message | None = None, method: str = "ping", **arguments: Any) -> Ask:
    """A query with something missing or wrong, long enough to deserve an error."""
    return lambda scene: scene.query(method, {**PAD, **(top or {})}, **arguments)


def ask_tid(size: int) -> Ask:
    return lambda scene: scene.query("ping", tid_size=size)


def ask_peers(scene: Scene) -> Message:
    return scene.query("get_peers", info_hash=scene.torrent)


def ask_implied(scene: Scene) -> Message:
    return scene.query("get_peers", info_hash=scene.implied)


def announce(scene: Scene, token: bytes | None = None, info_hash: bytes | None = None, **arguments: Any) -> Message:
    info_hash = info_hash or scene.torrent
    arguments.setdefault("port", scene.port)
    return scene.query("announce_peer", PAD, info_hash=info_hash, token=token or scene.token(info_hash), **arguments)


def announce_forged(scene: Scene) -> Message:
    """A token of the right length: only its bytes are wrong."""
    token = bytes(each ^ 0x55 for each in scene.token(scene.torrent))
    return announce(scene, token)


def judge_unknown_with_target(scene: Scene, answer: Answer) -> Outcome:
    """Newer methods are walked through older nodes: to answer as find_node is the custom, 204 what the BEP says."""
    return CONFORMS if not answer.is_error else refuses(204)(scene, answer)


def peers_of(answer: Answer) -> list[bytes]:
    values = answer.body.get(b"values")
    return [each for each in values if isinstance(each, bytes)] if isinstance(values, list) else []


def names_us(scene: Scene, answer: Answer, port: int) -> bool:
    ips = {each[:-2] for each in peers_of(answer) if each[-2:] == port.to_bytes(2, "big")}
    return bool(ips) if scene.own_ip is None else scene.own_ip in ips


def judge_values(port_of_socket: bool) -> Any:
    def judge(scene: Scene, answer: Answer) -> Outcome:
        port = scene.local.port if port_of_socket else scene.port
        if refused := refusal(answer):
            return refused
        if not peers_of(answer):
            return deviates("no `values`, though we have announced ourselves")
        if scene.source is None and port_of_socket:
            return skipped("a router may have changed our port")
        if names_us(scene, answer, port):
            return CONFORMS
        told = ", ".join(each.hex() for each in peers_of(answer)[:2])
        return deviates(f"`values` do not name our address with port {port} ({port:04x}): {told}")

    return judge


def look_values(scene: Scene) -> Outcome:
    """A list of strings, one each peer; what a string holds must be a peer of either family."""
    told = [each.body[b"values"] for each in scene.answers if b"values" in each.body]
    for values in told:
        if not isinstance(values, list):
            return deviates(f"`values` is {shown(values)}; a list needed")
        for peer in values:
            if not isinstance(peer, bytes) or len(peer) not in (6, 18):
                return deviates(f"`values` holds {shown(peer)}; strings of 6 or 18 bytes needed")
    return CONFORMS if told else skipped("no reply had values")


def look_records(scene: Scene) -> Outcome:
    for key, size in (("nodes", 26), ("nodes6", 38)):
        for told in (each.body[key.encode()] for each in scene.replies() if key.encode() in each.body):
            if not isinstance(told, bytes) or len(told) % size:
                return deviates(f"`{key}` is {shown(told)}; a multiple of {size} bytes needed")
    return CONFORMS


def look_count(scene: Scene) -> Outcome:
    most = max((len(each.bytes_of(key)) // size for each in scene.replies()
                for key, size in (("nodes", 26), ("nodes6", 38))), default=0)
    return CONFORMS if most <= K else deviates(f"a reply lists {most} contacts; at most {K} needed")


def look_errors(scene: Scene) -> Outcome:
    errors = [each.message.get(b"e") for each in scene.answers if each.is_error]
    for error in errors:
        if not isinstance(error, list) or [type(part) for part in error] != [int, bytes]:
            return deviates(f"`e` is {shown(error)}; a list of code and text needed")
    return CONFORMS if errors else skipped("it sent no error")


def look_id(scene: Scene) -> Outcome:
    ids = {shown(each.body.get(b"id")) for each in scene.replies()}
    if len(ids) <= 1:
        return CONFORMS
    return deviates(f"{len(ids)} ids told in one examination: {', '.join(sorted(ids)[:2])}")


def look_canonical(scene: Scene) -> Outcome:
    """Keys in order, no superfluous digits; some readers search for keys instead of decoding."""
    for answer in scene.answers:
        try:
            bencode.decode(answer.data)
        except DecodeError as error:
            return deviates(f"an answer to {answer.question.method or 'no method'}: {error}")
    return CONFORMS


READS = (
    Check(5, "ping", "ping is answered, with an id of 20 bytes", ask_tid(4), judge_pong),
    Check(5, "find-node", "find_node is answered with nodes of the socket's family",
          lambda scene: scene.query("find_node", target=scene.rng.randbytes(20)), judge_nodes),
    Check(5, "tid-1", "a `t` of 1 byte is echoed", ask_tid(1), judge_pong),
    Check(5, "tid-2", "a `t` of 2 bytes is echoed", ask_tid(2), judge_pong),
    Check(5, "tid-20", "a `t` of 20 bytes is echoed", ask_tid(20), judge_pong),
    Check(5, "get-peers", "get_peers is answered with values or nodes", ask_peers, judge_get_peers),
    Check(5, "token", "get_peers gives a token", look=look_token, needs=("get-peers",)),
    Check(5, "unknown-method", "an unknown method is refused with 204", ask_with(method="conform_test"), refuses(204)),
    Check(5, "unknown-with-target", "an unknown method with a target is answered as find_node, or with 204",
          lambda scene: scene.query("conform_test", PAD, target=scene.rng.randbytes(20)), judge_unknown_with_target),
    Check(5, "unknown-argument", "an unknown argument is ignored", lambda scene: scene.query("ping", conform=1),
          judge_pong),
    Check(5, "no-method", "a query without `q` is refused with 203", ask_with({"q": None}), refuses(203)),
    Check(5, "no-arguments", "a query without `a` is refused with 203", ask_with({"a": None}), refuses(203)),
    Check(5, "no-id", "a query without `id` is refused with 203", ask_with(id=None), refuses(203)),
    Check(5, "short-id", "an `id` of 19 bytes is refused with 203", ask_with(id=bytes(19)), refuses(203)),
    Check(5, "no-target", "find_node without `target` is refused with 203", ask_with(method="find_node"), refuses(203)),
    Check(5, "short-target", "a `target` of 19 bytes is refused with 203",
          ask_with(method="find_node", target=bytes(19)), refuses(203)),
)
WRITES = (
    Check(5, "announce-forged", "an announce with a wrong token is refused with 203", announce_forged, refuses(203),
          needs=("token",), writes=True),
    Check(5, "announce-port", "an announce of port 65536 is refused with 203",
          lambda scene: announce(scene, port=65_536), refuses(203), needs=("token",), writes=True),
    Check(5, "announce", "an announce with the token is accepted", announce, accepts, needs=("token",), writes=True),
    Check(5, "announced", "the announced peer is in the values that follow", ask_peers, judge_values(False),
          needs=("announce",), writes=True),
    Check(5, "announce-implied", "an announce with implied_port is accepted",
          lambda scene: announce(scene, info_hash=scene.implied, implied_port=1), accepts, before=(ask_implied,),
          needs=("token",), writes=True),
    Check(5, "implied-port", "implied_port stores the port of the datagram", ask_implied, judge_values(True),
          needs=("announce-implied",), writes=True),
)
# Asked last: some put whoever sends such things on a list of the wicked, and hear no more of them.
STRAYS = (
    Check(5, "not-bencode", "what is no bencode is not answered", lambda scene: Raw(NO_BENCODE), stays_silent,
          if_silent=CONFORMS),
    Check(5, "no-kind", "a message without `y` is not answered", ask_with({"y": None}), stays_silent,
          if_silent=CONFORMS),
    Check(5, "stray-reply", "a reply to no query is not answered",
          lambda scene: {**PAD, "r": {"id": scene.id}, "t": NOBODY, "y": "r"}, stays_silent, if_silent=CONFORMS),
    Check(5, "stray-error", "an error to no query is not answered",
          lambda scene: {**PAD, "e": [203, "stray"], "t": NOBODY, "y": "e"}, stays_silent, if_silent=CONFORMS),
)
LOOKS = (
    Check(5, "values-form", "values are a list of strings, one each peer", look=look_values),
    Check(5, "nodes-form", "nodes are multiples of 26 bytes, nodes6 of 38", look=look_records),
    Check(5, "nodes-count", "a reply lists 8 contacts at most", look=look_count),
    Check(5, "error-form", "errors are a list of code and text", look=look_errors),
    Check(5, "canonical", "answers are proper bencode: keys in order, no superfluous digits", look=look_canonical),
    Check(5, "one-id", "all replies carry the same id", look=look_id),
    Check(5, "still-there", "the node still answers after all this", ask_tid(4), judge_pong),
)
