"""Types of arguments: what passes, and the one line that says what does not."""
from __future__ import annotations

import click
import pytest

from fastdht.cli import params
from fastdht.types import Endpoint


@pytest.mark.parametrize(("kind", "text", "value"), [
    (params.ENDPOINT, "127.0.0.1:6881", Endpoint("127.0.0.1", 6881)),
    (params.ENDPOINT, " [::1]:1 ", Endpoint("::1", 1)),
    (params.LISTEN, "127.0.0.1:0", Endpoint("127.0.0.1", 0)),
    (params.LISTEN, "[::]:10", Endpoint("::", 10)),
    (params.ENDPOINTS, "1.2.3.4:5, 6.7.8.9:10", (Endpoint("1.2.3.4", 5), Endpoint("6.7.8.9", 10))),
    (params.BOOTSTRAP, "none", "none"),
    (params.BOOTSTRAP, "router.example.org:6881,1.2.3.4:5,[::1]:6",
     (("router.example.org", 6881), ("1.2.3.4", 5), ("::1", 6))),
    (params.NODE_ID, "a" * 40, b"\xaa" * 20),
    (params.INFO_HASH, "0F" * 20, b"\x0f" * 20),
    (params.NETWORK, "127.0.0.0/8", "127.0.0.0/8"),
    (params.ZONE, "a4/6", (b"\xa4" + bytes(19), 6)),
    (params.ZONE, "0/0", (bytes(20), 0)),
    (params.ZONE, "FFF/12", (b"\xff\xf0" + bytes(18), 12)),
    (params.RATE, "2.5e3", 2500.0),
    (params.DURATION, "1.5s", 1.5),
    (params.DURATION, "250ms", 0.25),
    (params.DURATION, "2h", 7200.0),
    (params.DURATION, "3", 3.0),
])
def test_value_when_well_formed_then_is_parsed(kind: click.ParamType, text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(("kind", "text", "told"), [
    (params.ENDPOINT, "localhost:6881", "not an IP address"),
    (params.ENDPOINT, "1.2.3.4:65536", "1 to 65535"),
    (params.ENDPOINT, "1.2.3.4", "1 to 65535"),
    (params.LISTEN, "nowhere:0", "not an IP address"),
    (params.ENDPOINTS, "1.2.3.4:5,,", "empty entry"),
    (params.BOOTSTRAP, "publik", "1 to 65535"),
    (params.BOOTSTRAP, "router.example.org:99999", "1 to 65535"),
    (params.BOOTSTRAP, "a b:1", "not an IP address"),
    (params.NODE_ID, "ab", "40 needed"),
    (params.NODE_ID, "zz" * 20, "not hexadecimal"),
    (params.NETWORK, "127.0.0.1/8", "host bits set"),
    (params.NETWORK, "loopback", "CIDR"),
    (params.ZONE, "a4", "HEX/BITS"),
    (params.ZONE, "a4/", "HEX/BITS"),
    (params.ZONE, "g/4", "HEX/BITS"),
    (params.ZONE, "a4/9", "2 hexadecimal digits; 3 needed"),
    (params.ZONE, "a4/5", "beyond its 5 bits"),
    (params.ZONE, "a" * 40 + "/40", "at most 32"),
    (params.RATE, "0", "more than 0"),
    (params.RATE, "-1", "more than 0"),
    (params.RATE, "nan", "more than 0"),
    (params.RATE, "1e9", "at most 10,000,000"),
    (params.RATE, "fast", "not a number"),
    (params.DURATION, "-1s", "as in 1.5s"),
    (params.DURATION, "1 week", "as in 1.5s"),
])
def test_value_when_malformed_then_error_tells_value_and_limit(kind: click.ParamType, text: str, told: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert told in caught.value.message
    assert repr(text)[1:-1] in caught.value.message or text in caught.value.message


def test_zone_when_printed_then_parses_back() -> None:
    for text in ("0/0", "8/1", "a4/6", "fff/12", "01234567/32"):
        assert str(params.parse_zone(text)) == text


def test_endpoints_when_repeated_then_flatten_to_one() -> None:
    one, two = Endpoint("1.1.1.1", 1), Endpoint("2.2.2.2", 2)
    assert params.flatten(((one,), (two, one))) == (one, two, one)
