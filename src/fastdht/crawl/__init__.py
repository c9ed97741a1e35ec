"""Crawls: enumerate the nodes of a network, and check the result against a truth. Rate class: command."""
from __future__ import annotations

from fastdht.crawl.crawler import Crawl, CrawlConfig
from fastdht.crawl.records import CrawlResult
from fastdht.crawl.zones import Zone

__all__ = ["Crawl", "CrawlConfig", "CrawlResult", "Zone"]
