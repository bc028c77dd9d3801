"""Deliver: ledger → API → ledger.

`importer.deliver.delivery` is the loop. What only names its options need not load an event loop.
"""

from importer.deliver.options import DeliveryOptions, Progress, Schedule, StopReason

__all__ = ["DeliveryOptions", "Progress", "Schedule", "StopReason"]
