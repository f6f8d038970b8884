"""The ramp as files: for quotas and plans."""

import csv
import io

import yaml

from salesops import crm, lang
from salesops.problems import BadInput
from salesops.ramp import compute
from salesops.ramp.params import Params


def write(params: Params) -> dict[str, bytes]:
    """`ramp.csv` (month of tenure, reps, share of peers' bookings with its interval, never falling) and `ramp.yml` (the
    line that a plan of params/plans takes; quotas read it from there).

    Raises
    ------
    BadInput
        If the source cannot be used, or too few reps were watched in their first months.
    """
    lang.use(params.lang)
    try:
        book = crm.open(**params.book)
        found = compute.measure(book, params)
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    ramp = compute.plan_ramp(found)
    if not ramp:
        raise BadInput("nothing was written", ["too few reps were watched in their first months, or there is no ramp"])
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["month", "reps", "share", "low", "high", "never_falling"])
    for row in found.curve.itertuples():
        if row.share is not None:
            rows.writerow([row.month + 1, row.n, *(f"{one:.4f}" for one in (*row.share[:3], row.smooth))])
    plan = yaml.safe_dump({"ramp": [f"{round(100 * one)}%" for one in ramp]}, default_flow_style=None)
    return {"ramp.csv": stream.getvalue().encode(), "ramp.yml": plan.encode()}
