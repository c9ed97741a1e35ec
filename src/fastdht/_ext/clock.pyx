"""The clock that deadlines and round trips are measured by. Rate class: packet."""


def monotonic_us() -> int:
    """Microseconds since an arbitrary start; never decreases, stands still while the machine sleeps."""
    return read_us()
