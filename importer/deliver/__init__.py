"""Deliver: ledger → API → ledger.

This room owns what happens between a durable claim and a durable outcome: who may leave when, what an answer makes of
a row, and how a run ends early. It knows the ledger's queue and the rooms of ``send``, and no file or mapping. The
delivery itself is in ``importer.deliver.delivery``: what only names its options need not load an event loop.
"""

from importer.deliver.options import DeliveryOptions, Ended, Progress
from importer.deliver.schedule import Schedule

__all__ = ["DeliveryOptions", "Ended", "Progress", "Schedule"]
