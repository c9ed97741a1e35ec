"""Revisits a cohort of nodes for hours or days: who stays, who goes, who comes back. Rate class: second."""
