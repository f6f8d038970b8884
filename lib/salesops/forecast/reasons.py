"""Why a deal is likely to be won in time, or not: what each thing that is known of it does to its chance."""

import numpy as np
import pandas as pd

from salesops.forecast import hazard
from salesops.forecast.record import Made

FACTORS = ("stay_weeks", "age_weeks", "pushes", "group", "size")


def of(made: Made, deals: pd.DataFrame) -> list[list[tuple[str, float]]]:
    """For each deal, the factors and by how much its chance (0 to 1) differs from what it would be on average over the
    levels that the open deals have of that factor, all else as it is; the largest difference first."""
    capped = made.deals.assign(stay_weeks=made.deals["stay_weeks"].clip(upper=hazard.STAYS - 1),
                               age_weeks=made.deals["age_weeks"].clip(upper=hazard.AGES - 1))  # fmt: skip
    frames = []
    for factor in FACTORS:
        shares = capped[factor].value_counts(normalize=True).sort_index()
        for level, share in shares.items():
            frames.append(
                deals.assign(**{factor: level, "factor": factor, "share": share, "row": np.arange(len(deals))})
            )
    every = pd.concat(frames, ignore_index=True)
    patterns = pd.concat([every, deals])[["group", "size", "pushes"]].drop_duplicates().to_numpy(dtype=int)
    chances = hazard.look_ahead(made.model, made.left, made.part_of_week, patterns)
    every["usual"] = every["share"] * hazard.calibrated(chances.of(every), made.calibration)
    usual = every.groupby(["row", "factor"])["usual"].sum().unstack("factor")
    found = []
    for row, p in enumerate(deals["p"]):
        parts = [(factor, float(p - usual.loc[row, factor])) for factor in FACTORS]
        found.append(sorted(parts, key=lambda part: -abs(part[1])))
    return found
