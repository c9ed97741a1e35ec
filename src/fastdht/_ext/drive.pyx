"""Drives a Frontier question by question from Python, in the core's place. Rate class: command (tests, the bench).

A question is a tuple (endpoint, target, expected, record, number): compact endpoint, 20 bytes, 20 bytes or None, and
two ints that come back with its outcome. Times are µs; `sent_us` is when the question was asked.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from fastdht._ext.addresses cimport dump_compact, load_compact
from fastdht._ext.bencode cimport Span
from fastdht._ext.frontier cimport Frontier
from fastdht._ext.krpc cimport HAS_INTERVAL, HAS_NUM, KIND_ERROR, KIND_RESPONSE, Message
from fastdht._ext.questions cimport STAGE_MASK, STAGE_SAMPLE
from fastdht._ext.queue cimport Question
from fastdht._ext.transactions cimport OWNER_CRAWL, SLOT_OPEN, SLOT_STALLED, Transaction


cdef int load_transaction(tuple question, int64_t sent_us, bint is_stalled, Transaction* out) except -1:
    memset(out, 0, sizeof(Transaction))
    load_compact(question[0], &out.endpoint)
    out.owner_slot = question[3]
    out.owner_index = question[4]
    out.owner = OWNER_CRAWL
    out.state = SLOT_STALLED if is_stalled else SLOT_OPEN
    out.sent_us = sent_us
    return 0


cdef void load_span(bytes data, Span* out) noexcept:
    out.data = <const uint8_t*>data
    out.size = <unsigned int>len(data)


def ask(Frontier frontier not None, now_us: int, families: int = 3) -> tuple[bytes, bytes, bytes | None, int, int] | None:
    """The next question to a node of these families (bits 1: IPv4, 2: IPv6), or None when there is none now."""
    cdef Question question
    if not frontier.next_question(families, now_us, &question):
        return None
    expected = question.expected_id[:20] if question.has_expected_id else None
    return dump_compact(&question.endpoint), question.target[:20], expected, question.record, question.number


def give_back(Frontier frontier not None, question: tuple) -> None:
    """The question could not be sent."""
    cdef Question given
    memset(&given, 0, sizeof(Question))
    load_compact(question[0], &given.endpoint)
    given.record = question[3]
    given.number = question[4]
    frontier.give_back(&given)


def answer(Frontier frontier not None, question: tuple, node_id: bytes | None, *, nodes: bytes = b"",
           nodes6: bytes = b"", version: bytes = b"", samples: bytes | None = None, num: int = 0,
           interval: int = 0, sent_us: int = 0, now_us: int = 0, is_stalled: bool = False) -> None:
    """A response arrived: `nodes` and `nodes6` as on the wire, `node_id` of 20 bytes or None; `samples`
    (20 bytes each) make it one of BEP 51."""
    cdef Transaction tx
    cdef Message message
    memset(&message, 0, sizeof(Message))
    load_transaction(question, sent_us, is_stalled, &tx)
    message.kind = KIND_RESPONSE
    if node_id is not None:
        message.id = <const uint8_t*>(<bytes>node_id)
    load_span(nodes, &message.nodes)
    load_span(nodes6, &message.nodes6)
    load_span(version, &message.version)
    if samples is not None:
        load_span(samples, &message.samples)
        message.num = num
        message.interval = interval
        message.present = HAS_NUM | HAS_INTERVAL
    frontier.on_response(&tx, &message, now_us)


def answer_error(Frontier frontier not None, question: tuple, *, now_us: int = 0, is_stalled: bool = False) -> None:
    """A KRPC error arrived."""
    cdef Transaction tx
    cdef Message message
    memset(&message, 0, sizeof(Message))
    load_transaction(question, 0, is_stalled, &tx)
    message.kind = KIND_ERROR
    frontier.on_error(&tx, &message, now_us)


def stall(Frontier frontier not None, question: tuple, now_us: int = 0) -> None:
    """The question is late."""
    cdef Transaction tx
    load_transaction(question, 0, True, &tx)
    frontier.on_stall(&tx, now_us)


def time_out(Frontier frontier not None, question: tuple, *, now_us: int = 0, is_stalled: bool = False) -> None:
    """No answer will come."""
    cdef Transaction tx
    load_transaction(question, 0, is_stalled, &tx)
    frontier.on_timeout(&tx, now_us)


def due(Frontier frontier not None, now_us: int, families: int = 3) -> int:
    """When to ask next, in µs; -1 when only a packet can change anything."""
    return frontier.next_due(families, now_us)


def method_of(question: tuple) -> str:
    """What a question asks: find_node or sample_infohashes."""
    return "sample_infohashes" if <int>question[4] & STAGE_MASK == STAGE_SAMPLE else "find_node"
