"""Nightly drops: files that other systems put into a directory, delivered one after the other without anyone there.

    drops     which mapping a file gets        inbox     when a file is complete, and where it moves
    outcome   whether a file may be sent, what became of it, and the user's commands
    watcher   the round over all files

A file is delivered as by `importer run`; the ledger knows what was delivered, so a crash at any point loses nothing.
"""

from importer.watch.drops import FileRule, load_rules, one_rule
from importer.watch.outcome import FileOutcome, Place, WatchOptions
from importer.watch.watcher import WatchConsole, Watcher

__all__ = ["FileOutcome", "FileRule", "Place", "WatchConsole", "WatchOptions", "Watcher", "load_rules", "one_rule"]
