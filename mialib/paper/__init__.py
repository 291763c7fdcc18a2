"""What the paper published, and how ours stands beside it: values, verdicts, claims, the scoreboard."""

from mialib.paper.claims import claim_6, claim_8, mitigation_claims
from mialib.paper.comparison import (
    SHORT,
    beside_baselines,
    compare,
    correlations,
    fig4_paper,
    fig11_paper,
    fig12_paper,
    headline,
    outcome,
    published_means,
    published_rows,
    results_table,
    summary_headline,
    table_iii,
)
from mialib.paper.values import KEY, curves, published, related

__all__ = [
    "KEY", "SHORT", "beside_baselines", "claim_6", "claim_8", "compare", "correlations", "curves", "fig4_paper",
    "fig11_paper", "fig12_paper", "headline", "mitigation_claims", "outcome", "published", "published_means",
    "published_rows", "related", "results_table", "summary_headline", "table_iii",
]  # fmt: skip
