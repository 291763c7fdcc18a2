"""Audit a model of one's own: what does it give away, about whom, how sure is that, what helps?"""

from mialib.audit.audit import Audit, Moment
from mialib.audit.connection import BadAnswer, ServiceFailed
from mialib.audit.engine import answers, model
from mialib.audit.meter import BudgetSpent
from mialib.audit.remote import Remote

__all__ = ["Audit", "BadAnswer", "BudgetSpent", "Moment", "Remote", "ServiceFailed", "answers", "model"]
