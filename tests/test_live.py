"""Systems read live, over real HTTPS on loopback: documented payloads, small pages, busy servers, lost connections."""

import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from salesops import crm, live
from salesops.crm import importing
from salesops.live import calls
from salesops.problems import BadInput

from tests.test_import import DEALS

SECRETS = {"salesforce": "00D-very-secret", "hubspot": "pat-very-secret", "bitrix24": "verysecretkey"}
DAYS = ("2026-01-05T09:00:00", "2026-01-12T10:30:00", "2026-01-15T08:00:00", "2026-02-10T12:00:00")
NAMES = tuple(DEALS)
AMOUNTS = (1200.5, 25000, 800, None)
CLOSED = ("2026-02-20", "2026-04-30", "2026-03-01", "2026-05-31")


class System(http.server.BaseHTTPRequestHandler):
    """What the three systems have in common: JSON answers, faults on request, a record of what was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_said):
        pass

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = self.headers.get("Content-Type", "").startswith("application/x-www-form")
        self.answer(parse_qs(body.decode()) if form else json.loads(body or b"{}"))

    def answer(self, body):
        company = self.server.company
        company.asked.append(self.path)
        status, said, headers = company.fault() or (200, company.reply(self.path, body, self.headers), {})
        content = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class Company:
    """The small company of the presets' exports as an API tells it; `changed` is the moment of the last change."""

    def __init__(self):
        self.asked, self.faults = [], []
        self.deals = [
            {"n": n, "name": name, "amount": AMOUNTS[n], "changed": f"2026-03-{n + 1:02}T10:00:00", "gone": False}
            for n, name in enumerate(NAMES)
        ]

    def fault(self):
        return self.faults.pop(0) if self.faults else None

    def stays(self, n: int) -> list[tuple[str, int]]:
        """(moment, stage: 0, 1, won 2, lost 3) of a deal."""
        return [
            [(DAYS[0], 0), ("2026-01-20T09:00:00", 1), ("2026-02-20T15:00:00", 2)],
            [(DAYS[1], 0), ("2026-02-01T10:30:00", 1)],
            [(DAYS[2], 0), ("2026-03-01T08:00:00", 3)],
            [(DAYS[3], 0)],
        ][n]


class Salesforce(Company):
    STAGES = ("Lead", "Offer", "Closed Won", "Closed Lost")
    PAGE = 2  # the server's own

    def __init__(self):
        super().__init__()
        self.more = {}

    def reply(self, path, _body, headers):
        assert headers["Authorization"] == f"Bearer {SECRETS['salesforce']}"
        place = urlsplit(path)
        if place.path.endswith("/describe"):
            fields = self.rows(place.path.split("/")[-2])[0]
            return {"fields": [{"name": name} for name in fields]}
        if "/queryAll/" in place.path:
            asked = parse_qs(place.query)["q"][0]
            rows = self.select(asked)
            return self.page(rows)
        return self.page(self.more.pop(place.path))

    def page(self, rows):
        head, rest = rows[: self.PAGE], rows[self.PAGE :]
        if not rest:
            return {"done": True, "totalSize": len(rows), "records": head}
        self.more[following := f"/services/data/v59.0/query/01g-{len(rest)}"] = rest
        return {"done": False, "totalSize": len(rows), "records": head, "nextRecordsUrl": following}

    def saves(self, d):
        """(moment, stage, amount): each move, and a change of the amount."""
        moves = [(moment, stage, AMOUNTS[d["n"]]) for moment, stage in self.stays(d["n"])]
        return moves + [(d["changed"], moves[-1][1], d["amount"])] * (d["amount"] != AMOUNTS[d["n"]])

    def select(self, asked):
        found = re.fullmatch(
            r"SELECT (?P<fields>[\w, ]+) FROM (?P<name>\w+)"
            r"(?: WHERE SystemModstamp > (?P<at>\S+) OR \(SystemModstamp = \S+ AND Id > '(?P<id>\w+)'\))? ORDER BY SystemModstamp, Id LIMIT (?P<most>\d+)",
            asked,
        )
        assert found, asked
        rows = sorted(self.rows(found["name"]), key=lambda row: (row["SystemModstamp"], row["Id"]))
        if found["at"]:
            rows = [
                r for r in rows if (r["SystemModstamp"].replace("+0000", "Z"), r["Id"]) > (found["at"], found["id"])
            ]
        return [{f: row[f] for f in found["fields"].split(", ")} for row in rows][: int(found["most"])]

    def rows(self, name):
        at = "2026-03-01T00:00:00.000+0000"
        id_ = lambda kind, n: f"{kind}5g00000AbCd{'EFGH'[n]}AAV"  # noqa: E731
        match name:
            case "Opportunity":
                return [
                    {"Id": id_("006", d["n"]), "IsDeleted": d["gone"], "AccountId": None, "Name": d["name"],
                     "Amount": d["amount"], "StageName": self.STAGES[self.stays(d["n"])[-1][1]],
                     "Probability": (100.0, 50.0, 0.0, 10.0)[d["n"]], "CloseDate": CLOSED[d["n"]], "Type": None,
                     "NextStep": None, "LeadSource": "Web", "OwnerId": "005A",
                     "CreatedDate": f"{DAYS[d['n']]}.000+0000", "LastActivityDate": None,
                     "SystemModstamp": f"{d['changed']}.000+0000"} for d in self.deals]  # fmt: skip
            case "OpportunityHistory":
                return [
                    {"Id": f"008{d['n']}{k}", "OpportunityId": id_("006", d["n"]), "CreatedById": "005A",
                     "IsDeleted": False, "CreatedDate": f"{moment}.000+0000", "StageName": self.STAGES[stage],
                     "Amount": amount, "CloseDate": CLOSED[d["n"]], "SystemModstamp": f"{moment}.000+0000"}
                    for d in self.deals for k, (moment, stage, amount) in enumerate(self.saves(d))]  # fmt: skip
            case "OpportunityStage":
                return [
                    {"Id": f"01J{k}", "MasterLabel": stage, "DefaultProbability": (10, 50, 100, 0)[k], "SortOrder": k + 1,
                     "IsActive": True, "IsClosed": k > 1, "IsWon": k == 2, "SystemModstamp": at}
                    for k, stage in enumerate(self.STAGES)]  # fmt: skip
            case "User":
                return [{"Id": "005A", "Username": "ann@x", "Name": "Ann", "IsActive": True, "SystemModstamp": at}]
        return [{"Id": "001A", "IsDeleted": False, "Name": "Acme", "Industry": "Retail", "BillingCountry": "RS", "OwnerId": "005A",
                 "CreatedDate": at, "IsConverted": False, "SystemModstamp": at}]  # fmt: skip


class HubSpot(Company):
    STAGES = ("appointmentscheduled", "presentationscheduled", "closedwon", "closedlost")

    def reply(self, path, body, headers):
        assert headers["authorization"] == f"Bearer {SECRETS['hubspot']}"
        place, asked = urlsplit(path), parse_qs(urlsplit(path).query)
        match place.path:
            case "/crm/v3/pipelines/deals":
                stages = [
                    {"id": stage, "label": stage, "displayOrder": k, "archived": False,
                     "metadata": {"isClosed": str(k > 1).lower(), "probability": ("0.2", "0.5", "1.0", "0.0")[k]}}
                    for k, stage in enumerate(self.STAGES)]  # fmt: skip
                return {"results": [{"id": "default", "label": "Sales", "displayOrder": 0, "stages": stages}]}
            case "/crm/v3/owners" | "/crm/v3/owners/":
                return {"results": [{"id": "71", "email": "a@x", "firstName": "Ann", "lastName": "Ash", "userId": 71}]}
            case "/crm/v3/objects/deals":
                assert asked["archived"] == ["True"] or asked["archived"] == ["true"]
                return {"results": [self.deal(d) | {"archived": True} for d in self.deals if d["gone"]]}
            case "/crm/v3/objects/deals/batch/read":
                assert len(body["inputs"]) <= 50
                wanted = {one["id"] for one in body["inputs"]}
                return {
                    "status": "COMPLETE",
                    "results": [self.deal(d) for d in self.deals if f"900{d['n'] + 1}" in wanted],
                }
            case "/crm/v3/objects/deals/search":
                since = body["filterGroups"][0]["filters"][0]["value"]
                rows = sorted((d for d in self.deals if not d["gone"]), key=lambda d: d["changed"])
                rows = [d for d in rows if since == "0" or f"{d['changed']}Z" >= since]
                at, most = int(body["after"]), min(int(body["limit"]), 2 if len(rows) < 10 else 100)
                page = [
                    {"id": f"900{d['n'] + 1}", "properties": {"hs_lastmodifieddate": f"{d['changed']}Z"}}
                    for d in rows[at : at + most]
                ]
                more = {"paging": {"next": {"after": str(at + most)}}} if at + most < len(rows) else {}
                return {"total": len(rows), "results": page, **more}
        raise AssertionError(path)

    def deal(self, d):
        stays = [
            {"value": self.STAGES[stage], "timestamp": f"{moment}Z", "sourceType": "CRM_UI", "updatedByUserId": 71}
            for moment, stage in reversed(self.stays(d["n"]))
        ]
        ended = {0: "2026-02-20T15:00:00Z", 2: "2026-03-01T08:00:00Z"}.get(d["n"], f"{CLOSED[d['n']]}T00:00:00Z")
        return {
            "id": f"900{d['n'] + 1}", "archived": False, "createdAt": f"{DAYS[d['n']]}Z",
            "properties": {
                "dealname": d["name"], "amount": None if d["amount"] is None else str(d["amount"]), "dealstage": stays[0]["value"],
                "pipeline": "default", "hubspot_owner_id": "71", "createdate": f"{DAYS[d['n']]}Z", "closedate": ended,
                "deal_currency_code": "USD", "hs_lastmodifieddate": f"{d['changed']}Z"},
            "propertiesWithHistory": {"dealstage": stays, "amount": []},
        }  # fmt: skip


class Bitrix24(Company):
    STAGES = ("NEW", "OFFER", "WON", "LOSE")

    def reply(self, path, body, _headers):
        place = urlsplit(path).path
        assert place.startswith(f"/rest/1/{SECRETS['bitrix24']}/"), unquote(place)
        body = body or {}
        match place.rsplit("/", 1)[1].removesuffix(".json"):
            case "crm.status.list":
                rows = [
                    {
                        "ENTITY_ID": "DEAL_STAGE",
                        "STATUS_ID": stage,
                        "NAME": stage,
                        "SORT": str(10 * k),
                        "SEMANTICS": (None, None, "S", "F")[k],
                    }
                    for k, stage in enumerate(self.STAGES)
                ]
                return {
                    "result": [
                        *rows,
                        {"ENTITY_ID": "SOURCE", "STATUS_ID": "WEB", "NAME": "Web", "SORT": "1", "SEMANTICS": None},
                    ]
                }
            case "user.get":
                return {"result": [{"ID": "7", "NAME": "Анна", "LAST_NAME": "Ель", "ACTIVE": True}]}
            case "crm.deal.list":
                rows, wanted = [self.deal(d) for d in self.deals], body.get("filter", {})
                tests = {
                    ">=DATE_MODIFY": lambda row, value: row["DATE_MODIFY"] >= value,
                    ">DATE_MODIFY": lambda row, value: row["DATE_MODIFY"] > value,
                    "=DATE_MODIFY": lambda row, value: row["DATE_MODIFY"] == value,
                    ">ID": lambda row, value: int(row["ID"]) > int(value),
                }
                rows = [row for row in rows if all(tests[name](row, value) for name, value in wanted.items())]
                keys = {"ID": lambda row: int(row["ID"]), "DATE_MODIFY": lambda row: row["DATE_MODIFY"]}
                rows.sort(key=lambda row: [keys[name](row) for name in body["order"]])
                return {"result": rows[int(body.get("start", 0)) :][:50], "total": len(rows)}
            case "crm.stagehistory.list":
                rows = [
                    {"ID": 10 * d["n"] + k + 1, "TYPE_ID": 1, "OWNER_ID": 401 + d["n"], "CREATED_TIME": f"{moment}+00:00",
                     "CATEGORY_ID": 0, "STAGE_SEMANTIC_ID": "P", "STAGE_ID": self.STAGES[stage]}
                    for d in self.deals for k, (moment, stage) in enumerate(self.stays(d["n"]))]  # fmt: skip
                return {"result": {"items": [row for row in rows if row["ID"] > body["filter"][">ID"]][:50]}}
        raise AssertionError(path)

    def deal(self, d):
        stage = self.stays(d["n"])[-1][1]
        return {
            "ID": str(401 + d["n"]), "TITLE": d["name"], "CATEGORY_ID": "0", "STAGE_ID": self.STAGES[stage],
            "STAGE_SEMANTIC_ID": "PPSF"[stage], "OPPORTUNITY": d["amount"] and str(d["amount"]), "CURRENCY_ID": "USD",
            "ASSIGNED_BY_ID": "7", "DATE_CREATE": f"{DAYS[d['n']]}+00:00", "DATE_MODIFY": f"{d['changed']}+00:00",
            "CLOSEDATE": f"{CLOSED[d['n']]}T00:00:00+00:00", "SOURCE_ID": "WEB",
        }  # fmt: skip


COMPANIES = {"salesforce": Salesforce, "hubspot": HubSpot, "bitrix24": Bitrix24}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    place = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1"
    made = [*command.split(), "-keyout", place / "key.pem", "-out", place / "cert.pem"]
    subprocess.run(made, check=True, capture_output=True)
    return place


@pytest.fixture
def serve(certificate, monkeypatch):
    """A system on loopback, and the environment that points to it; no wait is really waited."""
    running = []

    def start(system: str):
        company = COMPANIES[system]()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), System)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.company, server.daemon_threads = company, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        place = f"127.0.0.1:{server.server_port}"
        told = {
            "SALESFORCE_INSTANCE": place, "SALESFORCE_TOKEN": SECRETS["salesforce"], "HUBSPOT_TOKEN": SECRETS["hubspot"],
            "HUBSPOT_HOST": f"https://{place}", "BITRIX24_WEBHOOK": f"https://{place}/rest/1/{SECRETS['bitrix24']}/",
            "REQUESTS_CA_BUNDLE": str(certificate / "cert.pem"),
        }  # fmt: skip
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        return company

    waits = []
    monkeypatch.setattr(calls.time, "sleep", waits.append)
    start.waits = waits
    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def imported(system, export, book):
    importing.bring_in(
        system, [export], book, currency="USD", exported_on="2026-03-31", time_zone="UTC", replace=book.exists()
    )
    return crm.open(book)


def small_book(book) -> dict:
    deals = book.deals.execute().set_index("name")
    return {
        name: (
            None if d["amount_minor"] != d["amount_minor"] else int(d["amount_minor"]),
            d["status"],
            str(d["created_at"])[:16],
        )
        for name, d in deals.iterrows()
    }


@pytest.mark.parametrize("system", COMPANIES)
def test_a_system_read_live_gives_the_same_small_book(serve, tmp_path, system):
    serve(system)
    book = imported(system, live.fetch(system, tmp_path / "live"), tmp_path / "book")
    assert small_book(book) == {name: row[:3] for name, row in DEALS.items()}
    assert book.about["history"] == "changes" and book.n_known["changes"] >= 8 and book.n_known["reps"] == 1


ONE_QUICK = [name if name == "hubspot" else pytest.param(name, marks=pytest.mark.slow) for name in COMPANIES]


@pytest.mark.parametrize("system", ONE_QUICK)
def test_the_next_time_only_what_changed_is_read(serve, tmp_path, system):
    company, said = serve(system), []
    live.fetch(system, tmp_path / "live", tell=said.append)
    assert [line for line in said if line.lower().startswith(("opportunity: 4", "deals: 4"))]
    company.deals[3] |= {"amount": 99.5, "changed": "2026-03-20T10:00:00"}
    company.deals[1] |= {"gone": system != "bitrix24", "changed": "2026-03-21T10:00:00"}
    said.clear()
    export = live.fetch(system, tmp_path / "live", tell=said.append)
    n_read = sum(
        int(line.split(": ")[1].split()[0])
        for line in said
        if line.lower().startswith(("opportunity:", "deals:", "archived"))
    )
    assert n_read <= 3, said  # two deals changed
    book = imported(system, export, tmp_path / "book")
    expected = {name: row[:3] for name, row in DEALS.items()}
    expected["Delta"] = (9950, *expected["Delta"][1:])
    if system != "bitrix24":  # whose API says nothing of what was deleted
        del expected['Beta "big"']
        assert book.about["n_left_out"]["deals"] == {"deleted": 1}
    assert small_book(book) == expected
    assert len(list((tmp_path / "live" / "parts").iterdir())) == 1


@pytest.mark.parametrize("system", ["hubspot", "bitrix24"])
def test_deals_that_change_while_they_are_read_move_none_out_of_sight(serve, tmp_path, system, monkeypatch):
    """130 deals, most of one moment; after each page one that was read is changed, and moves to the end."""
    company = serve(system)
    moments = [f"2026-03-01T10:{k // 60:02}:{k % 60:02}" if k < 50 else "2026-03-02T10:00:00" for k in range(130)]
    company.stays = lambda n: [(DAYS[0], 0)]
    monkeypatch.setitem(globals(), "DAYS", DAYS * 40)
    monkeypatch.setitem(globals(), "CLOSED", CLOSED * 40)
    company.deals = [{"n": n, "name": f"d{n}", "amount": 1, "changed": moments[n], "gone": False} for n in range(130)]
    reply, edited = company.reply, iter(range(130))

    def moving(path, body, headers):
        said = reply(path, body, headers)
        if "search" in path or "crm.deal.list" in path:
            company.deals[next(edited)]["changed"] = (
                f"2026-03-0{4 + len(company.asked) % 5}T{len(company.asked) % 24:02}:00:00"
            )
        return said

    company.reply = moving
    export = live.fetch(system, tmp_path / "live")
    text = next(path for path in export.iterdir() if path.stem == "deals").read_text("utf-8")
    assert not [n for n in range(130) if f'"d{n}"' not in text and f",d{n}," not in text]


BUSY = {
    "salesforce": (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "later"}], {}),
    "hubspot": (429, {"status": "error", "message": "You have reached your ten_secondly_rolling limit.", "policyName": "TEN_SECONDLY_ROLLING"},
                {"Retry-After": "7"}),
    "bitrix24": (503, {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, {}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("system", COMPANIES)
def test_a_busy_system_is_asked_again_and_an_interrupted_reading_goes_on(serve, tmp_path, system):
    company = serve(system)
    company.faults = [None, BUSY[system], BUSY[system]]
    first = live.fetch(system, tmp_path / "whole")
    assert serve.waits[:2] == ([7, 7] if system == "hubspot" else [1, 2])
    whole = {path.name: path.read_bytes() for path in first.iterdir()}
    n_whole = len(company.asked) - 2  # without the two that were asked again
    for broken_at in [*range(1, n_whole - 1, 4), n_whole - 1]:
        folder = tmp_path / f"broken-{broken_at}"
        company.faults = [None] * broken_at + [BUSY[system]] * calls.TRIES
        with pytest.raises(live.Stopped, match="what was read is kept, and the next run goes on from there"):
            live.fetch(system, folder)
        assert not (folder / "export").exists()
        n_before = len(company.asked)
        export = live.fetch(system, folder)
        assert {path.name: path.read_bytes() for path in export.iterdir()} == whole
        again = company.asked[n_before:]
        assert len(again) <= n_whole
    if system == "salesforce":  # the last time only the last object was left
        assert "WHERE" in unquote(next(path for path in again if "FROM+Opportunity+" in path))


def test_requests_of_the_day_that_are_used_up_are_not_asked_for_again(serve, tmp_path):
    company = serve("salesforce")
    company.faults = [
        None,
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}], {}),
    ]
    with pytest.raises(live.Stopped, match="the requests of the day are used up"):
        live.fetch("salesforce", tmp_path / "a")
    assert not serve.waits and len(company.asked) == 2
    company = serve("hubspot")
    company.faults = [(429, {"message": "daily limit", "policyName": "DAILY"}, {"Retry-After": "5"})]
    with pytest.raises(live.Stopped, match="used up"):
        live.fetch("hubspot", tmp_path / "b")
    assert not serve.waits


REFUSED = {
    "salesforce": (401, [{"errorCode": "INVALID_SESSION_ID", "message": f"Session {SECRETS['salesforce']} expired"}], {}),
    "hubspot": (401, {"message": f"The token {SECRETS['hubspot']} is not valid"}, {}),
    "bitrix24": (401, {"error": "INVALID_CREDENTIALS", "error_description": f"{SECRETS['bitrix24']} is wrong"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("system", ONE_QUICK)
def test_secrets_are_nowhere(serve, tmp_path, salesops, system):
    company = serve(system)
    folder = tmp_path / "live"
    done = salesops("fetch", system, "--to", folder, env=dict(os.environ))
    assert done.returncode == 0 and str(folder / "export") in done.stdout, done.stderr
    company.faults = [REFUSED[system]] * 3
    refused = salesops("fetch", system, "--to", folder, env=dict(os.environ))
    assert refused.returncode == 1 and "(secret)" in refused.stderr and "Traceback" not in refused.stderr
    imported(system, folder / "export", tmp_path / "book")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    told = [done.stdout, done.stderr, refused.stdout, refused.stderr]
    assert not [text for text in [*written, *(one.encode() for one in told)] if SECRETS[system].encode() in text]


def test_what_cannot_begin_is_refused(serve, tmp_path, monkeypatch):
    serve("salesforce")
    live.fetch("salesforce", tmp_path / "live")
    monkeypatch.setenv("SALESFORCE_INSTANCE", "other.my.salesforce.com")
    with pytest.raises(BadInput, match="its account is 127.0.0.1"):
        live.fetch("salesforce", tmp_path / "live")
    with pytest.raises(BadInput, match="its system is salesforce"):
        live.fetch("hubspot", tmp_path / "live")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.txt").write_text("mine")
    with pytest.raises(BadInput, match="it holds something else"):
        live.fetch("hubspot", tmp_path / "else")
    monkeypatch.delenv("HUBSPOT_TOKEN")
    with pytest.raises(BadInput, match="the environment variable HUBSPOT_TOKEN is not set"):
        live.fetch("hubspot", tmp_path / "new")
    monkeypatch.setenv("BITRIX24_WEBHOOK", "http://acme.bitrix24.ru/rest/1/key/")
    with pytest.raises(BadInput, match="is not as https://acme.bitrix24.ru/rest/1/key/"):
        live.fetch("bitrix24", tmp_path / "new")
    with pytest.raises(BadInput, match="allowed: bitrix24, hubspot, salesforce"):
        live.fetch("zoho", tmp_path / "new")
    assert not (tmp_path / "new").exists()


class Notes:
    """A system of one object, whose records go into one file."""

    objects, kept_as = ("notes",), {}

    def write(self, name, records, folder):
        (folder / f"{name}.json").write_text(json.dumps(list(records)), "utf-8")


def test_files_of_the_users_own_stay_in_a_fetched_folder(tmp_path):
    from salesops.live.store import Store

    mine = {
        "export/mine.csv": "mine",
        "parts/notes.txt": "mine",
        "export.old/x": "mine",
        "spill": "mine",
        "a.draft": "mine",
    }
    for text in ("first", "second"):
        with Store(tmp_path / "live", "hubspot", "one") as kept:
            kept.add("notes", [{"id": text, "record": {"text": text}}], {"at": text}, kept_as="notes")
            kept.write(Notes())
        for name, content in mine.items():
            (tmp_path / "live" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "live" / name).write_text(content)
    with Store(tmp_path / "live", "hubspot", "one") as kept:
        kept.write(Notes())
    assert {name: (tmp_path / "live" / name).read_text() for name in mine} == mine
    texts = [one["text"] for one in json.loads((tmp_path / "live" / "export" / "notes.json").read_text())]
    assert texts == ["first", "second"]
    names = {path.name for path in (tmp_path / "live").iterdir()}
    assert names == {"export", "export.old", "parts", "spill", "a.draft", "state.json"}
