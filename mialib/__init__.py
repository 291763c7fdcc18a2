"""Membership inference against black-box classifiers: the attack of Shokri et al. (S&P 2017), as a library."""
