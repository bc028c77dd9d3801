"""Nightly drops: files that others put into a directory, delivered one after the other by themselves.

This package owns the directory (when a file is complete, where it moves, who may watch), what is found out about a file
before anything of it is sent, and the round over all files. What is done with a file is ``pipeline.program``'s, the
same as for `importer run`; what was delivered is the ledger's to know, so that a crash at any point is no loss.
"""

from importer.watch.drops import Drop, load_drops, only
from importer.watch.outcome import Outcome, Place, WatchOptions
from importer.watch.watcher import Voice, Watcher

__all__ = ["Drop", "Outcome", "Place", "Voice", "WatchOptions", "Watcher", "load_drops", "only"]
