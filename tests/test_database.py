"""A real PostgreSQL as the source: the same book, and the same page, as from CSV files."""

import csv
import os
from pathlib import Path

import pytest
import yaml
from salesops.crm import importing
from salesops.problems import BadInput

from tests.conftest import FUNNEL

pytestmark = pytest.mark.postgres
MAPPING = {
    "title": "Acme",
    "currency": "USD",
    "exported_on": "2026-10-31",
    "stages": [
        {"stage": "Lead", "kind": "open"},
        {"stage": "Offer", "kind": "open"},
        {"stage": "Won", "kind": "won"},
        {"stage": "Lost", "kind": "lost"},
    ],
    "tables": {
        "deals": {
            "file": "deals.csv",
            "columns": {"deal_id": "id", "name": "name", "stage": "stage", "amount": "amount", "created_at": "created",
                        "closed_at": "closed", "segment": "segment"},
        },
        "changes": {
            "file": "crm.moves.csv",
            "columns": {"deal_id": "deal", "changed_at": "at", "old_value": "old", "new_value": "new"},
            "constants": {"field": "stage"},
        },
    },
}  # fmt: skip
TABLES = """
CREATE TABLE deals (id bigint, name text, stage text, amount numeric(12,2), created timestamptz, closed timestamptz,
  segment text);
CREATE SCHEMA crm;
CREATE TABLE crm.moves (deal bigint, at timestamptz, old text, new text);
INSERT INTO deals SELECT i, CASE WHEN i % 5 = 0 THEN 'Имя "quoted", ' || i ELSE 'Deal ' || i END,
  CASE i % 4 WHEN 0 THEN 'Won' WHEN 1 THEN 'Lost' WHEN 2 THEN 'Offer' ELSE 'Lead' END,
  CASE WHEN i % 7 = 0 THEN NULL ELSE i * 10.25 END, timestamptz '2026-05-01 08:00+00' + i * interval '7 hours',
  CASE WHEN i % 4 < 2 THEN timestamptz '2026-05-20 09:30+00' + i * interval '7 hours' END,
  CASE i % 3 WHEN 0 THEN 'big' ELSE 'small' END
  FROM generate_series(1, 400) t(i);
INSERT INTO crm.moves SELECT id, created + interval '3 days', 'Lead', 'Offer' FROM deals WHERE stage <> 'Lead';
INSERT INTO crm.moves SELECT id, closed, 'Offer', stage FROM deals WHERE closed IS NOT NULL;
"""


@pytest.fixture
def project(project_copy, postgres, monkeypatch) -> Path:
    import psycopg

    with psycopg.connect(postgres) as con:
        con.execute("DROP SCHEMA IF EXISTS crm CASCADE")
        con.execute("DROP TABLE IF EXISTS deals")
        con.execute(TABLES)
        (project_copy / "files").mkdir()
        for table, name in (("deals", "deals.csv"), ("crm.moves", "crm.moves.csv")):
            cursor = con.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            with (project_copy / "files" / name).open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow([column.name for column in cursor.description])
                writer.writerows(cursor)
    (project_copy / "params" / "crm" / "acme.yml").write_text(yaml.safe_dump(MAPPING))
    monkeypatch.chdir(project_copy)
    monkeypatch.setenv("CRM_DB", postgres)
    return project_copy


@pytest.mark.slow
def test_a_page_from_postgresql_is_the_page_from_files(project, salesops, tmp_path):
    (project / "params" / "acme.yml").unlink(missing_ok=True)
    params = {**FUNNEL, "source": "data/book", "period": "2026-08"}
    (project / "params" / "funnel.acme.yml").write_text(yaml.safe_dump(params))
    pages = []
    for given in ("files", "$CRM_DB"):
        done = salesops("import", "acme", given, "--to", "data/book", "--replace", cwd=project)
        assert done.returncode == 0, done.stderr
        assert "geheim77" not in done.stdout + done.stderr
        done = salesops("report", "params/funnel.acme.yml", "--force", cwd=project)
        assert done.returncode == 0, done.stderr
        pages.append((project / "reports" / "2026-08" / "funnel.acme.html").read_bytes())
    assert pages[0] == pages[1] and len(pages[0]) > 20_000
    kept = [path for path in project.rglob("*") if path.is_file() and b"geheim77" in path.read_bytes()]
    assert not kept


def test_what_a_database_refuses_is_said_without_its_password(project, monkeypatch):
    with pytest.raises(BadInput, match="NO_DB is not set"):
        importing.bring_in("acme", [Path("$NO_DB")], project / "book")
    monkeypatch.setenv("CRM_DB", os.environ["CRM_DB"].replace("54329", "54330"))
    with pytest.raises(BadInput) as error:
        importing.bring_in("acme", [Path("$CRM_DB")], project / "book")
    assert "geheim77" not in str(error.value) and "CRM_DB" in str(error.value)
    monkeypatch.undo()


def test_a_table_that_is_not_there_is_named(project, postgres):
    spec = {**MAPPING, "tables": {**MAPPING["tables"], "reps": {"file": "people.csv", "columns": {"rep_id": "id"}}}}
    (project / "params" / "crm" / "acme.yml").write_text(yaml.safe_dump(spec))
    with pytest.raises(BadInput, match="people") as error:
        importing.bring_in("acme", [Path("$CRM_DB")], project / "book")
    assert "geheim77" not in str(error.value) and not (project / "book").exists()
