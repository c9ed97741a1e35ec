"""A crawl's directory as one self-contained HTML page. Rate class: command.

`gather` counts, `plots` draws, `page` puts both into a template. The page loads nothing from anywhere.
"""
