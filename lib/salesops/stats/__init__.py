"""The few methods that several questions share: intervals, survival with censoring, shrinkage, exact parts."""

from salesops.stats.behaviour import RECENT, Behaviour, behaviour
from salesops.stats.exact import kitagawa, lmdi, log_mean, shapley, whole_parts
from salesops.stats.proportions import (
    Estimate,
    adjust_for_any,
    adjust_for_many,
    difference,
    p_of_equal_rates,
    p_of_equal_rates_within,
    ratio_of_sums,
    wilson,
)
from salesops.stats.shrinkage import ALIKE, Pooled, pool_means, pool_rates
from salesops.stats.survival import (
    Incidence,
    Survival,
    aalen_johansen,
    incidence_by_value,
    kaplan_meier,
    mean_open,
    medians,
    p_of_equal_incidence,
    weighted_se,
)

__all__ = [
    "ALIKE",
    "Behaviour",
    "Estimate",
    "Incidence",
    "Pooled",
    "RECENT",
    "Survival",
    "aalen_johansen",
    "adjust_for_any",
    "adjust_for_many",
    "behaviour",
    "difference",
    "incidence_by_value",
    "kaplan_meier",
    "kitagawa",
    "lmdi",
    "log_mean",
    "mean_open",
    "medians",
    "p_of_equal_incidence",
    "p_of_equal_rates",
    "p_of_equal_rates_within",
    "pool_means",
    "pool_rates",
    "ratio_of_sums",
    "shapley",
    "weighted_se",
    "whole_parts",
    "wilson",
]
