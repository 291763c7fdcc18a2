"""What the paper published, and how ours stands beside it: values, verdicts, claims, the scoreboard."""

from mialib.paper.beside import beside_baselines, beside_counts, both_conventions, table_one, table_three
from mialib.paper.claims_mitigations import claim_8, mitigation_claims
from mialib.paper.claims_related import related_claims
from mialib.paper.claims_shadow_data import claim_6
from mialib.paper.claims_since import modern_claims
from mialib.paper.comparison import (
    SHORT,
    compare,
    correlations,
    outcome,
    published_histograms,
    published_means,
    published_precisions,
    published_rows,
    published_scatters,
    results_table,
)
from mialib.paper.followed import beside_ways, followed_up
from mialib.paper.modern import compare_modern, modern_published
from mialib.paper.values import KEY, curves, published, related

__all__ = [
    "KEY", "SHORT", "beside_baselines", "beside_counts", "beside_ways", "both_conventions", "claim_6", "claim_8", "compare",
    "compare_modern", "correlations", "curves", "followed_up", "mitigation_claims", "modern_claims", "modern_published",
    "outcome", "published", "published_histograms", "published_means", "published_precisions", "published_rows",
    "published_scatters", "related", "related_claims", "results_table", "table_one", "table_three",
]  # fmt: skip
