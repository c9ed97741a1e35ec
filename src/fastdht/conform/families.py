"""BEP 32, 42 and 43: address families, ids that fit addresses, and read-only nodes. Rate class: command."""
from __future__ import annotations

import ipaddress

from fastdht._ext.ids import is_secure
from fastdht.conform.bep5 import peers_of
from fastdht.conform.checks import Ask, Check, holds, refusal, shown
from fastdht.conform.scene import Answer, Message, Scene
from fastdht.conform.verdicts import CONFORMS, Outcome, Verdict, deviates, skipped, unsupported

LARGEST_REPLY = 1024        # BEP 32: what every node must be able to receive


def ask_want(*wanted: str) -> Ask:
    """`own` and `other` stand for the families of the socket, and not of it."""
    def ask(scene: Scene) -> Message:
        names = [scene.own_want if each == "own" else scene.other_want for each in wanted]
        return scene.query("find_node", target=scene.rng.randbytes(20), want=names or None)

    return ask


def judge_own_only(scene: Scene, answer: Answer) -> Outcome:
    if wrong := refusal(answer) or holds(answer, scene.own_key, bytes):
        return wrong
    if scene.other_key.encode() in answer.body:
        return deviates(f"`{scene.other_key}` is there, and was not asked for")
    return CONFORMS


def judge_other_only(scene: Scene, answer: Answer) -> Outcome:
    """A node of one family has nothing to tell of the other; then neither list, or an empty one."""
    if refused := refusal(answer):
        return refused
    if not answer.bytes_of(scene.own_key):
        return CONFORMS
    if scene.other_key.encode() in answer.body:
        return deviates(f"`{scene.own_key}` is there, and was not asked for")
    return unsupported("`want` is ignored")


def judge_both(scene: Scene, answer: Answer) -> Outcome:
    if wrong := refusal(answer) or holds(answer, scene.own_key, bytes):
        return wrong
    if scene.other_key.encode() in answer.body:
        return CONFORMS
    if scene.other_key.encode() in scene.by_check["want-other"].body:
        return deviates(f"`{scene.other_key}` is missing, though it is there when asked for alone")
    return Outcome(Verdict.CONFORMS, f"one family only: no `{scene.other_key}`")


def look_values_family(scene: Scene) -> Outcome:
    sizes = {len(peer) for answer in scene.replies() for peer in peers_of(answer)}
    if not sizes:
        return skipped("no reply had values")
    wrong = sorted(sizes - {scene.peer_size})
    return deviates(f"peers of {wrong[0]} bytes; {scene.peer_size} needed on this socket") if wrong else CONFORMS


def look_size(scene: Scene) -> Outcome:
    """Items are excepted: BEP 44 allows values that fill a kilobyte by themselves."""
    largest = max((each for each in scene.answers if each.question.method != "get"), key=lambda each: each.size)
    if largest.size <= LARGEST_REPLY:
        return CONFORMS
    asked = largest.question.method or "no method"
    return deviates(f"{largest.size} bytes in answer to {asked}; at most {LARGEST_REPLY}")


def look_secure_id(scene: Scene) -> Outcome:
    ip = ipaddress.ip_address(scene.remote.ip)
    if not ip.is_global:
        return skipped(f"{ip} is exempt: not a public address")
    if scene.node_id is None:
        return skipped("it told no id of 20 bytes")
    if is_secure(scene.node_id, scene.remote.pack()):
        return CONFORMS
    return deviates(f"{scene.node_id.hex()} does not fit {ip}")


def look_ip(scene: Scene) -> Outcome:
    """Behind a router nobody knows better than the node: then it must say the same each time."""
    told = [each.message[b"ip"] for each in scene.answers if b"ip" in each.message]
    if not told:
        return unsupported("no `ip` in replies")
    for each in told:
        if not isinstance(each, bytes) or len(each) != scene.peer_size:
            return deviates(f"`ip` is {shown(each)}; {scene.peer_size} bytes needed")
        if each != (told[0] if scene.source is None else scene.source.pack()):
            return deviates(f"`ip` is {shown(each)}; {scene.source or 'another a moment ago'}")
    return CONFORMS


def ask_ourselves(scene: Scene) -> Message:
    return scene.query("find_node", target=scene.id)


def judge_unlisted(scene: Scene, answer: Answer) -> Outcome:
    """We have said in every query that we are read-only, and yet answer pings: who ignores it, lists us by now."""
    if refused := refusal(answer):
        return refused
    for key in (b"nodes", b"nodes6"):
        if scene.id in answer.bytes_of(key.decode()):
            return deviates("we are listed, though each query said `ro`")
    return CONFORMS


READS = (
    Check(32, "default-family", "without `want`, a reply lists the socket's family only", ask_want(), judge_own_only),
    Check(32, "want-own", "`want` of the socket's family lists that family only", ask_want("own"), judge_own_only),
    Check(32, "want-other", "`want` of the other family does not list the socket's", ask_want("other"),
          judge_other_only),
    Check(32, "want-both", "`want` of both lists both, as far as the node has both", ask_want("own", "other"),
          judge_both, needs=("want-other",)),
    Check(43, "read-only", "who is read-only is not listed", ask_ourselves, judge_unlisted),
)
LOOKS = (
    Check(32, "values-family", "values are of the socket's family", look=look_values_family),
    Check(32, "reply-size", "replies are 1,024 bytes at most, items excepted", look=look_size),
    Check(42, "secure-id", "the node's id fits its address", look=look_secure_id),
    Check(42, "ip", "`ip` in replies is our address and port", look=look_ip),
)
