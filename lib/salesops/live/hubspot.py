"""HubSpot by its API (`hubspot-api-client`): deals with the history of stage, amount and closing, pipelines, owners.

$HUBSPOT_TOKEN, the token of a private app that may read deals and owners. Deals are searched by their last change and
then read with their history; archived ones are read each time, so that they leave with a count.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import hubspot
import urllib3

from salesops.live.calls import SECONDS, Refusal, needed, patient

PAGE, AT_ONCE = 100, 50  # of a search; read with their history
MOST = 10_000  # that one search can give
CHANGED = "hs_lastmodifieddate"
HISTORY = ["dealstage", "amount", "closedate"]
PROPERTIES = [
    "dealname", "amount", "dealstage", "pipeline", "hubspot_owner_id", "createdate", "closedate", "deal_currency_code",
    "hs_deal_stage_probability", "closed_lost_reason", "hs_analytics_source", "hs_next_step", "notes_last_contacted",
    CHANGED,
]  # fmt: skip
NO_RETRY = urllib3.Retry(0, respect_retry_after_header=False)  # patience is ours
PATIENCE = (429, 500, 502, 503, 504)


class Reader:
    objects = ("pipelines", "owners", "deals", "archived")
    kept_as: ClassVar = {"archived": "deals"}  # an archived deal takes the place of what it was

    def __init__(self, environment: Mapping[str, str]):
        (token,) = needed(environment, "hubspot", "HUBSPOT_TOKEN")
        self._secrets = [token]
        self.account = sha256(token.encode()).hexdigest()[:12]  # the token says no more of whose it is
        told = {"host": environment["HUBSPOT_HOST"]} if environment.get("HUBSPOT_HOST") else {}
        told |= {"ssl_ca_cert": environment["REQUESTS_CA_BUNDLE"]} if environment.get("REQUESTS_CA_BUNDLE") else {}
        self._crm = hubspot.HubSpot(access_token=token, retry=NO_RETRY, **told).crm

    def _ask(self, call, *arguments, **told) -> dict:
        """The answer as plain data; the library's own objects lose what they do not know."""

        def ask():
            return json.loads(call(*arguments, **told, _preload_content=False, _request_timeout=SECONDS).data)

        return patient(ask, _explain, self._secrets)

    def pages(self, name: str, mark: Mapping) -> Iterator[tuple[list[dict], dict]]:
        """Pages of an object, each with the mark after it."""
        match name:
            case "pipelines":
                found = self._ask(self._crm.pipelines.pipelines_api.get_all, "deals")["results"]
                yield [{"id": one["id"], "record": one} for one in found], {}
            case "owners":
                yield from self._listed(self._crm.owners.owners_api.get_page, limit=PAGE)
            case "archived":
                yield from self._listed(
                    self._crm.deals.basic_api.get_page, limit=PAGE, properties=PROPERTIES, archived=True
                )
            case "deals":
                yield from self._changed(mark)

    def _listed(self, call, **told) -> Iterator[tuple[list[dict], dict]]:
        after = {}
        while True:
            answer = self._ask(call, **told, **after)
            yield [{"id": one["id"], "record": one} for one in answer["results"]], {}
            if not (following := answer.get("paging", {}).get("next")):
                return
            after = {"after": following["after"]}

    def _changed(self, mark: Mapping) -> Iterator[tuple[list[dict], dict]]:
        """Deals that changed at the mark or since, oldest change first."""
        since, after, seen = mark.get("at", "0"), 0, set()
        while True:
            wanted = {
                "filterGroups": [{"filters": [{"propertyName": CHANGED, "operator": "GTE", "value": since}]}],
                "sorts": [{"propertyName": CHANGED, "direction": "ASCENDING"}],
                "properties": [CHANGED], "limit": PAGE, "after": str(after),
            }  # fmt: skip
            found = self._ask(self._crm.deals.search_api.do_search, wanted)
            now = [(one["id"], one["properties"][CHANGED]) for one in found["results"]]
            ids = [one for one, changed in now if (one, changed) not in seen]
            records = [one for k in range(0, len(ids), AT_ONCE) for one in self._with_history(ids[k : k + AT_ONCE])]
            last, seen = now[-1][1] if now else since, set(now)
            yield [{"id": one["id"], "record": one} for one in records], {"at": last}
            if not found.get("paging", {}).get("next"):
                return
            # Each page begins at the last change of the one before: what changes meanwhile moves none out of sight.
            since, after = (since, after + len(now)) if last == since else (last, 0)
            if after + PAGE > MOST:
                patient(_too_many, _explain, ())

    def _with_history(self, ids: list[str]) -> list[dict]:
        told = {"inputs": [{"id": one} for one in ids], "properties": PROPERTIES, "propertiesWithHistory": HISTORY}
        return self._ask(self._crm.deals.batch_api.read, told, archived=False)["results"]

    def write(self, name: str, records: Iterable[dict], folder: Path) -> None:
        """An object's file, as the API lists it; archived deals stand among the others."""
        with (folder / f"{name}.json").open("w", encoding="utf-8") as stream:
            stream.write('{"results": [')
            for number, record in enumerate(records):
                stream.write(",\n" if number else "\n")
                json.dump(record, stream, ensure_ascii=False)
            stream.write("\n]}\n")


def _too_many():
    raise ValueError("more than 10,000 deals changed in one millisecond, which a search cannot tell apart")


def _explain(error: Exception) -> Refusal:
    status = getattr(error, "status", None)
    if status is None:
        busy = isinstance(error, urllib3.exceptions.HTTPError)
        return Refusal(f"hubspot: {type(error).__name__}: {error}", busy=busy)
    try:
        said = json.loads(error.body)
    except (TypeError, ValueError):
        said = {}
    message = f"hubspot: {status} {said.get('message', '')}".strip()
    if said.get("policyName") == "DAILY":
        return Refusal(f"{message}: the requests of the day are used up")
    wait = (error.headers or {}).get("Retry-After")
    return Refusal(message, busy=status in PATIENCE, wait=float(wait) if wait and wait.isdigit() else None)
