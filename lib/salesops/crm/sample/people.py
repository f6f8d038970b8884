"""Who and what is around the deals of the sample company: reps, accounts, leads, activities."""

import numpy as np
import pandas as pd

from salesops.crm.sample.truth import MONTHS, REGIONS, SEGMENTS, SOURCES, UNTIL

END = pd.Timestamp(UNTIL) + pd.Timedelta(days=1)
START = (END - pd.DateOffset(months=MONTHS)).normalize()
DAY = 86_400
OWN = 1_000  # first key of the streams of what was added to the company later
# fmt: off
FIRST = (
    "Anna", "Boris", "Clara", "Dmitri", "Elena", "Frank", "Galina", "Hugo", "Irina", "Jonas", "Kira", "Leo",
    "Maria", "Nikolai", "Olga", "Pavel", "Rosa", "Sergei", "Tara", "Ugo", "Vera", "Walter", "Xenia", "Yuri",
    "Zoe",
)
LAST = (
    "Adler", "Bauer", "Costa", "Dunn", "Evans", "Fomin", "Garcia", "Hansen", "Ivanova", "Jansen", "Kuznets",
    "Lind", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Silva", "Tanaka", "Ueda", "Vogel",
    "Weber", "Yilmaz", "Zhang",
)
WHAT = (
    "Harbor", "Summit", "Cedar", "Delta", "Orion", "Granite", "Meadow", "Falcon", "Copper", "Lumen", "Aurora",
    "Bridge", "Cobalt", "Ember", "Fjord", "Glacier", "Indigo", "Juniper", "Keystone", "Lotus",
)
DOES = (
    "Foods", "Labs", "Motors", "Energy", "Logistics", "Medical", "Systems", "Textiles", "Capital", "Works",
    "Paper", "Optics", "Marine",
)
# fmt: on
INDUSTRIES = ("Manufacturing", "Healthcare", "Retail", "Energy", "Logistics", "Finance")
CAMPAIGNS = {"Inbound": ("Website", "Webinars"), "Outbound": ("Calls", "Letters"),
             "Partner": ("Resellers", "Integrators"), "Event": ("Trade fairs", "Own events")}  # fmt: skip
COUNTRIES = {"North America": ("United States", "Canada"), "EMEA": ("Germany", "France", "United Kingdom"),
             "LatAm": ("Brazil", "Mexico"), "APAC": ("Japan", "Australia", "India")}  # fmt: skip


def ids(prefix: str, n: int) -> np.ndarray:
    """Ids as text, all of one width: D0000001, D0000002, ..."""
    return (prefix + pd.Series(np.arange(1, n + 1)).astype("str").str.zfill(7)).to_numpy(dtype=object)


def moments(seconds: np.ndarray) -> pd.Series:
    """Seconds since `START` as naive UTC moments; NaN is missing. Whole seconds."""
    whole = pd.Series(np.floor(seconds))
    return START.as_unit("us") + pd.to_timedelta(whole, unit="s").dt.as_unit("us")


def own_stream(rng: np.random.Generator, nth: int) -> np.random.Generator:
    """A stream beside `rng`, so that nothing else is drawn differently; `nth` is 0, 1, ..."""
    seed = rng.bit_generator.seed_seq
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, OWN + nth)))


def reps(n_deals: int, rng: np.random.Generator) -> pd.DataFrame:
    """Reps by region in teams of about six; some are hired on the way, some leave."""
    n = int(np.clip(n_deals // 400, 24, 2_000))
    number = np.arange(n)
    name = [
        f"{FIRST[i % 25]} {LAST[(i * 7 + i // 25) % 25]}" + (f" {i // 625 + 1}" if i >= 625 else "") for i in number
    ]
    region = np.array(REGIONS)[number % 4]
    team = pd.Series(region) + " " + pd.Series(number // 4 // 6 + 1).astype("str")
    steady = number < 8  # two in each region are there all the time
    late = (rng.random(n) < 0.4) & ~steady
    hired = np.where(late, rng.integers(0, 30 * 30, n), -rng.integers(100, 1500, n))
    left = np.where((rng.random(n) < 0.15) & ~steady, hired.clip(0) + rng.integers(240, 700, n), 10**6)
    end_day = (END - START).days
    hired_on = (START + pd.to_timedelta(pd.Series(hired), unit="D")).dt.date
    left_on = (START + pd.to_timedelta(pd.Series(left).where(left < end_day), unit="D")).dt.date
    return pd.DataFrame({
        "rep_id": ids("R", n), "name": name, "manager_id": "M-" + team, "team": team, "region": region,
        "role": "Account executive", "hired_on": hired_on, "left_on": left_on,
        "hired_day": hired, "left_day": left,
    })  # fmt: skip


def accounts(n_deals: int, rng: np.random.Generator) -> pd.DataFrame:
    """Accounts with segment, region and country; about six for ten deals."""
    n = int(n_deals * 0.6)
    number = np.arange(n)
    what, does = np.array(WHAT)[rng.integers(0, 20, n)], np.array(DOES)[rng.integers(0, 13, n)]
    name = pd.Series(what) + " " + pd.Series(does) + " " + pd.Series(number + 1).astype("str")
    region = rng.choice(4, n, p=[0.38, 0.30, 0.14, 0.18])
    country = np.empty(n, dtype=object)
    for k, place in enumerate(REGIONS):
        here = region == k
        country[here] = np.array(COUNTRIES[place], dtype=object)[rng.integers(0, len(COUNTRIES[place]), here.sum())]
    return pd.DataFrame({
        "account_id": ids("A", n), "name": name, "segment": np.array(SEGMENTS)[rng.choice(3, n, p=[0.2, 0.4, 0.4])],
        "industry": np.array(INDUSTRIES)[rng.integers(0, 6, n)], "region": np.array(REGIONS)[region],
        "country": country, "region_code": region,
    })  # fmt: skip


def leads(created: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One lead for each new-business deal, and two that came to nothing, which come as deals do: no share changes."""
    became = created[created["pipeline"] == "New business"]
    n_deals, n = len(became), 3 * len(became)
    end = (END - START).total_seconds()
    wait = rng.lognormal(np.log(3 * DAY), 0.8, n_deals)
    began = np.maximum(became["created_s"].to_numpy() - wait, 0)
    at = np.concatenate([began, np.quantile(began, rng.random(n - n_deals))])
    answered = at + rng.lognormal(np.log(7200), 1.6, n)
    response = np.where((answered < end) & (rng.random(n) < 0.92), answered, np.nan)
    mql = np.where(rng.random(n) < 0.5, at + DAY * rng.random(n), np.nan)
    mql[:n_deals] = at[:n_deals] + 0.4 * wait
    sql = np.full(n, np.nan)
    sql[:n_deals] = at[:n_deals] + 0.8 * wait
    known = lambda s: moments(np.where(s < end, s, np.nan))  # noqa: E731
    deal_id = np.full(n, None, dtype=object)
    deal_id[:n_deals] = became["deal_id"]
    source = np.concatenate([became["source"], np.array(SOURCES, dtype=object)[rng.integers(0, 4, n - n_deals)]])
    region = np.concatenate([became["region"], np.array(REGIONS, dtype=object)[rng.integers(0, 4, n - n_deals)]])
    number = rng.spawn(1)[0].integers(0, 2, n)
    return pd.DataFrame({
        "lead_id": ids("L", n), "created_at": moments(at), "source": source, "region": region,
        "campaign": pd.Series(source).map(CAMPAIGNS).str[0].where(number == 0, pd.Series(source).map(CAMPAIGNS).str[1]),
        "rep_id": np.concatenate([became["rep_id"], np.full(n - n_deals, None)]),
        "first_response_at": known(response), "mql_at": known(mql), "sql_at": known(sql), "deal_id": deal_id,
    })  # fmt: skip


def activities(created: pd.DataFrame, deals: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """About three calls, meetings and e-mails for each deal over its life; one that is open has had its part of
    them."""
    times = rng.poisson(3.0, len(deals))
    owner = np.repeat(np.arange(len(deals)), times)
    n = len(owner)
    end_s = np.where(created["ended_s"].isna(), (END - START).total_seconds(), created["ended_s"])
    start_s = created["created_s"].to_numpy()
    at = start_s[owner] + rng.random(n) * (end_s - start_s)[owner]
    kind = rng.choice(3, n, p=[0.45, 0.25, 0.30])
    held = np.where(rng.random(n) < 0.85, "held", "no_show")
    minutes = np.where(kind == 2, 5, np.where(kind == 1, 45, 12)) * rng.lognormal(0, 0.3, n)
    own = own_stream(rng, 0)
    done = own.random(n) < _lived(created, end_s - start_s, own)[owner]
    made = pd.DataFrame({
        "activity_id": ids("T", n), "rep_id": deals["rep_id"].to_numpy()[owner],
        "deal_id": deals["deal_id"].to_numpy()[owner], "kind": np.array(["call", "meeting", "email"])[kind],
        "started_at": moments(at), "minutes": np.round(minutes, 1),
        "outcome": np.where(kind == 1, held, np.where(kind == 0, "answered", "sent")),
    })  # fmt: skip
    return made[done].reset_index(drop=True)


def _lived(created: pd.DataFrame, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of its life that each deal has behind it: all of it where it is closed. What an open one still has
    before it is as much as a life that is met by chance (the longer, the more often) has left on average."""
    lives = np.maximum(seconds[created["ended_s"].notna()], 1)
    left = rng.choice(lives, len(created), p=lives / lives.sum()) * rng.random(len(created))
    return np.where(created["ended_s"].isna(), seconds / (seconds + left), 1.0)
