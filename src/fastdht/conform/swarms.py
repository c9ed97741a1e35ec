"""BEP 33 and 51: how large a swarm is, and which swarms there are. Rate class: command."""
from __future__ import annotations

from fastdht._ext.filters import Filter
from fastdht.conform.bep5 import announce, names_us
from fastdht.conform.checks import Check, Judge, accepts, holds, refusal, shown
from fastdht.conform.scene import Answer, Message, Scene
from fastdht.conform.verdicts import CONFORMS, Outcome, deviates, unsupported

FILTER_SIZE = 256
MAX_INTERVAL_S = 21_600     # BEP 51
EMPTY = bytes(FILTER_SIZE)


def ask_scrape(scene: Scene) -> Message:
    return scene.query("get_peers", info_hash=scene.torrent, scrape=1)


def judge_scrape(scene: Scene, answer: Answer) -> Outcome:
    told = {key: answer.body.get(key.encode()) for key in ("BFsd", "BFpe")}
    if refused := refusal(answer):
        return refused
    if all(value is None for value in told.values()):
        return unsupported("no filters, though peers are stored")
    for key, value in told.items():
        if not isinstance(value, bytes) or len(value) != FILTER_SIZE:
            return deviates(f"`{key}` is {shown(value)}; {FILTER_SIZE} bytes needed")
    return CONFORMS


def judge_counts(us: str, empty: str) -> Judge:
    """Our address alone is in the one filter, and nobody in the other: nobody else knows the infohash."""
    def judge(scene: Scene, answer: Answer) -> Outcome:
        if refused := refusal(answer):
            return refused
        if not counts_us_alone(scene, answer.bytes_of(us)):
            return deviates(f"`{us}` does not hold exactly our address")
        return CONFORMS if answer.bytes_of(empty) == EMPTY else deviates(f"`{empty}` holds somebody, too")

    return judge


def counts_us_alone(scene: Scene, told: bytes) -> bool:
    if scene.own_ip is None:
        return int.from_bytes(told, "big").bit_count() in (1, 2)
    ours = Filter()
    ours.add(scene.own_ip)
    return told == bytes(ours)


def ask_noseed(scene: Scene) -> Message:
    return scene.query("get_peers", info_hash=scene.torrent, noseed=1)


def judge_noseed(scene: Scene, answer: Answer) -> Outcome:
    if refused := refusal(answer):
        return refused
    return deviates("`values` name the only seed") if names_us(scene, answer, scene.port) else CONFORMS


def ask_samples(scene: Scene) -> Message:
    return scene.query("sample_infohashes", target=bytes(20))


def judge_samples(scene: Scene, answer: Answer) -> Outcome:
    if answer.is_error or b"samples" not in answer.body:
        return unsupported(f"error {answer.error_text}" if answer.is_error else "no `samples`")
    if wrong := holds(answer, "samples", bytes):
        return wrong
    size = len(answer.bytes_of("samples"))
    return deviates(f"`samples` is {size} bytes; a multiple of 20 needed") if size % 20 else CONFORMS


def look_num(scene: Scene) -> Outcome:
    answer = scene.by_check["samples"]
    least = len(answer.bytes_of("samples")) // 20
    if wrong := holds(answer, "num", int):
        return wrong
    num = answer.body[b"num"]
    return CONFORMS if num >= least else deviates(f"`num` is {num}, and {least} are there")


def look_interval(scene: Scene) -> Outcome:
    answer = scene.by_check["samples"]
    if wrong := holds(answer, "interval", int):
        return wrong
    told = answer.body[b"interval"]
    return CONFORMS if 0 <= told <= MAX_INTERVAL_S else deviates(f"`interval` is {told}; 0 to {MAX_INTERVAL_S} needed")


def look_sample_nodes(scene: Scene) -> Outcome:
    return holds(scene.by_check["samples"], scene.own_key, bytes) or CONFORMS


def judge_repeated(scene: Scene, answer: Answer) -> Outcome:
    """Within the interval nothing new is drawn; it is over when it was 0, or when infohashes came or went."""
    before = scene.by_check["samples"]
    if wrong := refusal(answer) or holds(answer, "samples", bytes):
        return wrong
    if answer.body.get(b"num") != before.body.get(b"num") or before.body.get(b"interval") in (0, None):
        return CONFORMS
    if sample_set(answer) == sample_set(before):
        return CONFORMS
    return deviates(f"another sample at once, though the interval is {shown(before.body[b'interval'])} s")


def sample_set(answer: Answer) -> set[bytes]:
    told = answer.bytes_of("samples")
    return {told[at:at + 20] for at in range(0, len(told), 20)}


WRITES = (
    Check(33, "scrape", "a scrape is answered with BFsd and BFpe of 256 bytes", ask_scrape, judge_scrape,
          needs=("announced",), writes=True),
    Check(33, "scrape-peer", "a peer is counted in BFpe alone", ask_scrape, judge_counts("BFpe", "BFsd"),
          needs=("scrape",), writes=True),
    Check(33, "announce-seed", "an announce with `seed` is accepted", lambda scene: announce(scene, seed=1), accepts,
          needs=("scrape",), writes=True),
    Check(33, "scrape-seed", "who announces as a seed anew is counted in BFsd alone", ask_scrape,
          judge_counts("BFsd", "BFpe"), needs=("announce-seed",), writes=True),
    Check(33, "noseed", "`noseed` leaves seeds out of values", ask_noseed, judge_noseed, needs=("announce-seed",),
          writes=True),
)
SAMPLES = (
    Check(51, "samples", "sample_infohashes is answered with samples, multiples of 20 bytes", ask_samples,
          judge_samples),
    Check(51, "num", "`num` counts at least what is shown", look=look_num, needs=("samples",)),
    Check(51, "interval", "`interval` is 0 to 21,600 s", look=look_interval, needs=("samples",)),
    Check(51, "sample-nodes", "samples come with nodes", look=look_sample_nodes, needs=("samples",)),
    Check(51, "sample-again", "within the interval the sample stays", ask_samples, judge_repeated, needs=("samples",)),
)
