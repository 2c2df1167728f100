"""FLAME: oncology centres train models of glioblastoma together; no patient's data leaves its hospital."""

__version__ = "0.1.0"
