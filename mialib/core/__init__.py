"""What the whole house stands on: the types that all share, checks, randomness, streams, cache, threads."""

from mialib.core.stocks import Stock
from mialib.core.types import Attack, AttackData, BlackBox, Dataset, Features, Split, Trainer

__all__ = ["Attack", "AttackData", "BlackBox", "Dataset", "Features", "Split", "Stock", "Trainer"]
