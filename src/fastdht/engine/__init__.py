"""The I/O host of a Core: sockets, clock, timers, upkeep. Rate classes: batch and second."""
