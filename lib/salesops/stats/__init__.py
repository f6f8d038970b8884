"""The few methods that several questions share: intervals of rates, survival with open cases censored."""

from salesops.stats.proportions import Estimate, adjust_for_many, difference, p_of_equal_rates, ratio_of_sums, wilson
from salesops.stats.survival import Incidence, Survival, aalen_johansen, kaplan_meier

__all__ = [
    "Estimate",
    "Incidence",
    "Survival",
    "aalen_johansen",
    "adjust_for_many",
    "difference",
    "kaplan_meier",
    "p_of_equal_rates",
    "ratio_of_sums",
    "wilson",
]
