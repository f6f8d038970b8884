"""Salesforce by its REST API (`simple-salesforce`): opportunities with their history, stages, accounts, users, leads.

$SALESFORCE_INSTANCE (as acme.my.salesforce.com) and $SALESFORCE_TOKEN, an access token; or $SALESFORCE_USERNAME,
$SALESFORCE_PASSWORD, $SALESFORCE_SECURITY_TOKEN and, if it is not login, $SALESFORCE_DOMAIN. Deleted records are read,
so that they leave with a count. Pages follow each other by SystemModstamp and Id, so no cursor can expire.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import requests
import simple_salesforce
from simple_salesforce.exceptions import SalesforceError

from salesops.live.calls import SECONDS, Refusal, needed, patient

PAGE = 2000
OBJECTS = {
    "OpportunityStage": (
        "MasterLabel", "ApiName", "DefaultProbability", "ForecastCategoryName", "IsActive", "IsClosed", "IsWon",
        "SortOrder"),
    "Opportunity": (
        "IsDeleted", "AccountId", "Name", "StageName", "Amount", "Probability", "CloseDate", "Type", "NextStep",
        "LeadSource", "IsClosed", "IsWon", "ForecastCategoryName", "OwnerId", "CreatedDate", "LastActivityDate", "CurrencyIsoCode"),
    "OpportunityHistory": (
        "OpportunityId", "CreatedById", "CreatedDate", "StageName", "Amount", "ExpectedRevenue", "CloseDate",
        "Probability", "ForecastCategory", "IsDeleted", "CurrencyIsoCode"),
    "Account": ("IsDeleted", "Name", "Type", "Industry", "BillingCountry", "OwnerId"),
    "User": ("Username", "FirstName", "LastName", "Name", "Email", "Title", "Department", "IsActive", "ManagerId"),
    "Lead": (
        "IsDeleted", "Name", "Company", "LeadSource", "OwnerId", "CreatedDate", "IsConverted", "ConvertedDate",
        "ConvertedOpportunityId"),
}  # fmt: skip
PATIENCE = (429, 500, 502, 503, 504)


class Reader:
    objects = tuple(OBJECTS)
    kept_as: ClassVar = {}

    def __init__(self, environment: Mapping[str, str]):
        self._fields: dict[str, list[str]] = {}
        if environment.get("SALESFORCE_USERNAME"):
            names = ("SALESFORCE_USERNAME", "SALESFORCE_PASSWORD", "SALESFORCE_SECURITY_TOKEN")
            user, password, token = needed(environment, "salesforce", *names)
            self._secrets = [password, token]
            domain = environment.get("SALESFORCE_DOMAIN") or "login"
            told = {"username": user, "password": password, "security_token": token, "domain": domain}
            self.account = user
        else:
            instance, token = needed(environment, "salesforce", "SALESFORCE_INSTANCE", "SALESFORCE_TOKEN")
            self._secrets = [token]
            told = {"instance": instance.removeprefix("https://").rstrip("/"), "session_id": token}
            self.account = told["instance"]
        self._api = self._ask(lambda: simple_salesforce.Salesforce(**told))

    def _ask(self, call):
        return patient(call, _explain, self._secrets)

    def _read_fields(self, name: str) -> list[str]:
        """The fields wanted that the company has: some exist with several currencies only."""
        if name not in self._fields:
            told = self._ask(lambda: self._api.restful(f"sobjects/{name}/describe", timeout=SECONDS))
            there = {field["name"] for field in told["fields"]}
            self._fields[name] = [field for field in ("Id", *OBJECTS[name], "SystemModstamp") if field in there]
        return self._fields[name]

    def pages(self, name: str, mark: Mapping) -> Iterator[tuple[list[dict], dict]]:
        """Pages of what changed since a mark, oldest first, each with the mark after it."""
        fields = ", ".join(self._read_fields(name))
        while True:
            after = ""
            if mark:
                after = (
                    f" WHERE SystemModstamp > {mark['at']} OR (SystemModstamp = {mark['at']} AND Id > '{mark['id']}')"
                )
            asked = f"SELECT {fields} FROM {name}{after} ORDER BY SystemModstamp, Id LIMIT {PAGE}"
            answer = self._ask(lambda asked=asked: self._api.query(asked, include_deleted=True, timeout=SECONDS))
            rows = list(answer["records"])
            while not answer["done"]:  # the server's own pages may be smaller than ours
                more = answer["nextRecordsUrl"]
                answer = self._ask(
                    lambda more=more: self._api.query_more(more, identifier_is_url=True, timeout=SECONDS)
                )
                rows += answer["records"]
            if rows:
                mark = {"at": _moment(rows[-1]["SystemModstamp"]), "id": rows[-1]["Id"]}
            yield [{"id": row["Id"], "record": {f: row.get(f) for f in self._read_fields(name)}} for row in rows], mark
            if len(rows) < PAGE:
                return

    def write(self, name: str, records: Iterable[dict], folder: Path) -> None:
        """An object's file, as Data Loader writes it."""
        fields = [field for field in ("Id", *OBJECTS[name]) if field in self._read_fields(name)]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, fields, extrasaction="ignore")
            writer.writeheader()
            for record in records:
                writer.writerow({field: _text(value) for field, value in record.items()})


def _moment(text: str) -> str:
    """A moment as SOQL writes it: 2026-03-31T09:00:00.000Z."""
    return text.replace("+0000", "Z")


def _text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _explain(error: Exception) -> Refusal:
    if isinstance(error, SalesforceError):
        said = error.content[0] if isinstance(error.content, list) and error.content else {"message": str(error)}
        code, message = said.get("errorCode", ""), said.get("message", "")
        if code == "REQUEST_LIMIT_EXCEEDED":
            return Refusal(f"salesforce: the requests of the day are used up ({message})")
        return Refusal(f"salesforce: {error.status} {code} {message}".strip(), busy=error.status in PATIENCE)
    busy = isinstance(error, (requests.ConnectionError, requests.Timeout))
    return Refusal(f"salesforce: {type(error).__name__}: {error}", busy=busy)
