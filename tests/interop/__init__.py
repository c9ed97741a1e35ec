"""Real implementations on loopback: they guard that what we call the protocol is what others speak."""
