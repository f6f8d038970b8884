"""Bitrix24 by an incoming webhook (`b24pysdk`): deals, the history of their stages, the stages themselves, users.

$BITRIX24_WEBHOOK, as https://acme.bitrix24.ru/rest/1/key/. The API says nothing of deals that were deleted: they stay
as they were last read.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import requests
from b24pysdk import BitrixWebhook, errors

from salesops.live.calls import SECONDS, Refusal, needed, patient
from salesops.problems import BadInput

PAGE = 50
DEALS = 2  # the type of deals in the history of stages
FIELDS = {
    "stages": ("ENTITY_ID", "STATUS_ID", "NAME", "SORT", "SEMANTICS", "CATEGORY_ID"),
    "users": ("ID", "NAME", "LAST_NAME", "WORK_POSITION", "ACTIVE"),
    "deals": (
        "ID", "TITLE", "CATEGORY_ID", "STAGE_ID", "STAGE_SEMANTIC_ID", "OPPORTUNITY", "CURRENCY_ID", "PROBABILITY",
        "COMPANY_ID", "ASSIGNED_BY_ID", "DATE_CREATE", "DATE_MODIFY", "CLOSEDATE", "CLOSED", "SOURCE_ID"),
    "stagehistory": ("ID", "TYPE_ID", "OWNER_ID", "CREATED_TIME", "CATEGORY_ID", "STAGE_SEMANTIC_ID", "STAGE_ID"),
}  # fmt: skip
BUSY = (
    errors.BitrixAPIQueryLimitExceeded, errors.BitrixAPIOperationTimeLimit, errors.BitrixAPIOverloadLimit,
    errors.BitrixAPITooManyRequests, errors.BitrixAPIServiceUnavailable, errors.BitrixAPIInternalServerError,
    requests.ConnectionError, requests.Timeout,
)  # fmt: skip
NETWORK = tuple(
    getattr(errors, name) for name in ("BitrixRequestError", "BitrixRequestTimeout") if hasattr(errors, name)
)


class Reader:
    objects = tuple(FIELDS)
    kept_as: ClassVar = {}

    def __init__(self, environment: Mapping[str, str]):
        (url,) = needed(environment, "bitrix24", "BITRIX24_WEBHOOK")
        parts = urlsplit(url)
        place = parts.path.strip("/").split("/")
        if parts.scheme != "https" or len(place) != 3 or place[0] != "rest" or "@" in parts.netloc:
            raise BadInput(
                "bitrix24 cannot be read", ["$BITRIX24_WEBHOOK is not as https://acme.bitrix24.ru/rest/1/key/"]
            )
        self.account = parts.netloc
        self._secrets = [place[2]]
        self._token = BitrixWebhook(domain=parts.netloc, webhook_token="/".join(place[1:]))

    def _ask(self, method: str, **told) -> dict:
        return patient(
            lambda: self._token.call_method(method, told, timeout=SECONDS, max_retries=1), _explain, self._secrets
        )

    def pages(self, name: str, mark: Mapping) -> Iterator[tuple[list[dict], dict]]:
        """Pages of an object, each with the mark after it."""
        match name:
            case "stages":
                rows = [
                    row for row in self._ask("crm.status.list")["result"] if row["ENTITY_ID"].startswith("DEAL_STAGE")
                ]
                yield [{"id": f"{row['ENTITY_ID']} {row['STATUS_ID']}", "record": _stage(row)} for row in rows], {}
            case "users":
                start = 0
                while start is not None:
                    answer = self._ask("user.get", start=start)
                    yield _records(name, answer["result"]), {}
                    start = answer.get("next")
            case "deals":
                yield from self._changed(mark)
            case "stagehistory":
                yield from self._logged(mark)

    def _changed(self, mark: Mapping) -> Iterator[tuple[list[dict], dict]]:
        """Deals by their last change; a page begins at the last change of the one before, so that none slips away."""
        since, begins, seen = mark.get("at", ""), ">=", set()
        while True:
            rows = self._deals({f"{begins}DATE_MODIFY": since} if since else {}, {"DATE_MODIFY": "ASC", "ID": "ASC"})
            last = rows[-1]["DATE_MODIFY"] if rows else since
            now = {(row["ID"], row["DATE_MODIFY"]) for row in rows}
            yield _records("deals", [row for row in rows if (row["ID"], row["DATE_MODIFY"]) not in seen]), {"at": last}
            if len(rows) < PAGE:
                return
            seen = now
            since, begins = last, ">="
            if rows[0]["DATE_MODIFY"] == last:  # a change of many deals at once: the rest of them by their ids
                while len(rows) == PAGE:
                    rows = self._deals({"=DATE_MODIFY": last, ">ID": rows[-1]["ID"]}, {"ID": "ASC"})
                    yield _records("deals", rows), {"at": last}
                begins = ">"

    def _deals(self, wanted: dict, order: dict) -> list[dict]:
        return self._ask("crm.deal.list", filter=wanted, order=order, select=list(FIELDS["deals"]), start=0)["result"]

    def _logged(self, mark: Mapping) -> Iterator[tuple[list[dict], dict]]:
        last = int(mark.get("id", 0))
        while True:
            told = {"entityTypeId": DEALS, "filter": {">ID": last}, "order": {"ID": "ASC"}, "start": -1}
            rows = self._ask("crm.stagehistory.list", **told)["result"]["items"]
            last = int(rows[-1]["ID"]) if rows else last
            yield _records("stagehistory", rows), {"id": last}
            if len(rows) < PAGE:
                return

    def write(self, name: str, records: Iterable[dict], folder: Path) -> None:
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS[name], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(records)


def _records(name: str, rows: list[dict]) -> list[dict]:
    return [{"id": row["ID"], "record": {field: row.get(field) for field in FIELDS[name]}} for row in rows]


def _stage(row: dict) -> dict:
    """A stage with its pipeline, which is in the name of its list, and with P where it is a stage under way."""
    pipeline = row["ENTITY_ID"].removeprefix("DEAL_STAGE").removeprefix("_") or "0"
    kept = {field: row.get(field) for field in FIELDS["stages"]}
    return kept | {"SEMANTICS": row.get("SEMANTICS") or "P", "CATEGORY_ID": pipeline}


def _explain(error: Exception) -> Refusal:
    return Refusal(f"bitrix24: {type(error).__name__}: {error}", busy=isinstance(error, (*BUSY, *NETWORK)))
