"""Metadata of torrents from their peers, over TCP (BEP 3, 9, 10). Rate class: command."""
