"""The canonical tables, declared once: type, unit, key, allowed values, meaning.

Money is declared as `amount` and kept as integer minor units (cents) under `<name>_minor`; moments
are kept as naive UTC timestamps, days as dates, ids always as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

ARROW = {
    "id": "string",
    "text": "string",
    "choice": "string",
    "money": "int64",
    "moment": "timestamp[us]",
    "day": "date32",
    "share": "double",
    "number": "double",
    "count": "int64",
}
ALLOWED = {
    "id": "an id with all its digits, not 1.23E+18 as spreadsheets write it",
    "money": "an amount of money",
    "moment": "a date, or a date and time",
    "day": "a date",
    "share": "a share from 0 to 1",
    "number": "a number",
    "count": "a whole number",
}


class Column(NamedTuple):
    name: str
    kind: str  # a key of ARROW
    meaning: str
    needed: bool = False  # a row without it is refused
    allowed: tuple[str, ...] = ()
    blank: str = ""  # what a blank one is read as

    @property
    def stored(self) -> str:
        """The column's name in a book."""
        return f"{self.name}_minor" if self.kind == "money" else self.name

    @property
    def says(self) -> str:
        """What is allowed, for a message."""
        return f"allowed: {', '.join(self.allowed)}" if self.allowed else ALLOWED.get(self.kind, "text")


class Table(NamedTuple):
    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def is_dated(self) -> bool:
        """Whether a row holds for a span of days."""
        return "valid_from" in self.names

    @property
    def subject(self) -> tuple[str, ...]:
        """The key without its day: of what at most one row holds on a day."""
        return tuple(name for name in self.key if name != "valid_from")

    @property
    def schema(self) -> pa.Schema:
        import pyarrow as pa  # here, because the names above are needed where nothing heavy may be imported

        return pa.schema([(column.stored, pa.type_for_alias(ARROW[column.kind])) for column in self.columns])


STATUSES = ("open", "won", "lost")
FIELDS = ("created", "stage", "amount", "expected_close_on", "rep_id", "forecast_category", "pipeline")
CATEGORIES = ("pipeline", "best_case", "most_likely", "commit", "closed", "omitted")
AS_GIVEN = "as_given"
VAT = (AS_GIVEN, "in", "out")
DIMENSIONS = (
    "none", "segment", "region", "source", "product", "deal_type", "industry", "country", "team", "rep", "size",
)  # fmt: skip
UNBANDED = tuple(name for name in DIMENSIONS if name != "size")  # where no amounts are told that part deals by size
# What can be wrong with the record of a deal; see `rules`.
RULES = (
    "close_past",
    "no_next_step",
    "untouched",
    "no_amount",
    "pushed",
    "probability_unlike",
    "owner_gone",
    "duplicate",
    "no_reason",
    "won_before_created",
    "skipped",
    "missing",
)
C = Column

TABLES = {
    table.name: table
    for table in (
        Table(
            "deals",
            "a deal as the CRM shows it now",
            ("deal_id",),
            (
                C("deal_id", "id", "the CRM's own id", needed=True),
                C("name", "text", "what the rep called it"),
                C("account_id", "id", "the account it is sold to"),
                C("rep_id", "id", "its owner now"),
                C("pipeline", "text", "the pipeline whose stages it passes"),
                C("stage", "text", "its stage now"),
                C("status", "choice", "follows from the stage's kind", allowed=STATUSES),
                C("amount", "money", "expected or won revenue"),
                C("currency", "text", "ISO 4217 code of the amount"),
                C("list_amount", "money", "the amount at list prices"),
                C("created_at", "moment", "when it was created"),
                C("closed_at", "moment", "when it was won or lost"),
                C("expected_close_on", "day", "the rep's expected closing day"),
                C("deal_type", "choice", "what is sold", allowed=("new", "expansion", "renewal")),
                C("source", "text", "where it came from"),
                C("segment", "text", "segment of the customer"),
                C("region", "text", "sales region"),
                C("product", "text", "main product"),
                C("forecast_category", "choice", "the rep's category", allowed=CATEGORIES),
                C("probability", "share", "the chance of winning that stands on the deal"),
                C("lost_reason", "text", "why it was lost"),
                C("next_step", "text", "what the rep will do next"),
                C("last_activity_at", "moment", "the last logged activity"),
            ),
        ),
        Table(
            "changes",
            "one field of one deal changing",
            (),
            (
                C("deal_id", "id", "the deal", needed=True),
                C("changed_at", "moment", "when", needed=True),
                C("field", "choice", "what changed", needed=True, allowed=FIELDS),
                C("old_value", "text", "before"),
                C("new_value", "text", "after"),
                C("changed_by", "id", "who changed it"),
            ),
        ),
        Table(
            "stages",
            "a stage of a pipeline",
            ("pipeline", "stage"),
            (
                C("pipeline", "text", "the pipeline; blank where there is one"),
                C("stage", "text", "the stage", needed=True),
                C("position", "count", "1 for the first stage of the pipeline", needed=True),
                C("kind", "choice", "what being there means", needed=True, allowed=STATUSES),
                C("probability", "share", "the CRM's own chance of winning from here"),
                C("forecast_category", "choice", "its category", allowed=CATEGORIES),
            ),
        ),
        Table(
            "accounts",
            "an account",
            ("account_id",),
            (
                C("account_id", "id", "the CRM's own id", needed=True),
                C("name", "text", "the customer's name"),
                C("segment", "text", "segment of the customer"),
                C("industry", "text", "industry"),
                C("region", "text", "sales region"),
                C("country", "text", "country"),
                C("status", "choice", "whether it is flagged as a customer", allowed=("active", "churned")),
            ),
        ),
        Table(
            "reps",
            "a rep for a span of time",
            ("rep_id", "valid_from"),
            (
                C("rep_id", "id", "the CRM's own id", needed=True),
                C("name", "text", "the rep's name"),
                C("manager_id", "id", "whom the rep reports to"),
                C("team", "text", "team"),
                C("region", "text", "sales region"),
                C("role", "text", "role"),
                C("hired_on", "day", "first day"),
                C("left_on", "day", "last day; blank while employed"),
                C(
                    "status",
                    "choice",
                    "whether the rep is there on the last day of the row; leave: away for its days",
                    allowed=("active", "left", "leave"),
                ),
                C("valid_from", "day", "first day this row holds; blank: from the beginning"),
                C("valid_to", "day", "last day this row holds; blank: until the rep's next row, or still"),
            ),
        ),
        Table(
            "quotas",
            "the quota of a rep in a period, for a span of time",
            ("rep_id", "period", "kind", "valid_from"),
            (
                C("rep_id", "id", "the rep", needed=True),
                C("period", "text", "2026-10, 2026-Q4 or 2026, by the calendar", needed=True),
                C("amount", "money", "the quota", needed=True),
                C("currency", "text", "ISO 4217 code"),
                C("kind", "choice", "what counts", allowed=("bookings", "revenue")),
                C(
                    "valid_from",
                    "day",
                    "first day on which this was the quota of the period; blank: from the beginning",
                ),
                C("valid_to", "day", "last day on which it was, not that of the period; blank: still"),
            ),
        ),
        Table(
            "forecast_calls",
            "who called what, when",
            ("rep_id", "period", "category", "called_at"),
            (
                C("rep_id", "id", "the caller", needed=True),
                C("period", "text", "the period called: 2026-Q4, by the calendar", needed=True),
                C("category", "choice", "the category called", allowed=CATEGORIES),
                C("amount", "money", "the amount called", needed=True),
                C("currency", "text", "ISO 4217 code"),
                C("called_at", "moment", "when", needed=True),
            ),
        ),
        Table(
            "leads",
            "a lead",
            ("lead_id",),
            (
                C("lead_id", "id", "the CRM's own id", needed=True),
                C("created_at", "moment", "when it came in", needed=True),
                C("source", "text", "where it came from"),
                C("campaign", "text", "what brought it"),
                C("region", "text", "sales region"),
                C("rep_id", "id", "who works it"),
                C("first_response_at", "moment", "the first answer by a person"),
                C("mql_at", "moment", "when marketing qualified it"),
                C("sql_at", "moment", "when sales accepted it"),
                C("deal_id", "id", "the deal it became"),
            ),
        ),
        Table(
            "activities",
            "an activity",
            ("activity_id",),
            (
                C("activity_id", "id", "the CRM's own id", needed=True),
                C("rep_id", "id", "who did it"),
                C("deal_id", "id", "the deal it was for"),
                C("kind", "choice", "what", allowed=("call", "meeting", "email", "internal", "admin")),
                C("started_at", "moment", "when", needed=True),
                C("minutes", "number", "how long, in minutes"),
                C("outcome", "text", "held, no_show, answered, ..."),
            ),
        ),
        Table(
            "revenue",
            "money of an account in a month",
            ("account_id", "month_on", "kind"),
            (
                C("account_id", "id", "the account", needed=True),
                C("month_on", "day", "first day of the month", needed=True),
                C("kind", "choice", "what kind", needed=True, allowed=("recurring", "one_off")),
                C("amount", "money", "revenue of the month", needed=True),
                C("currency", "text", "ISO 4217 code"),
            ),
        ),
        Table(
            "subscriptions",
            "a contract of an account",
            ("subscription_id",),
            (
                C("subscription_id", "id", "the contract's id", needed=True),
                C("account_id", "id", "whose it is"),
                C("plan", "text", "what was signed"),
                C("status", "choice", "whether it is flagged as running", allowed=("active", "ended")),
                C("started_on", "day", "first day"),
                C("ended_on", "day", "last day; blank while it runs"),
                C("tenure_months", "number", "how long it has lasted, in months, where no days are told"),
                C("term_months", "count", "months after which it is renewed or not; blank is not known"),
                C("escalator", "share", "by how much the contract itself raises the amount at each renewal"),
                C("amount", "money", "of a month"),
                C("currency", "text", "ISO 4217 code"),
            ),
        ),
        Table(
            "cancellations",
            "an account that left, as it was logged",
            ("account_id", "cancelled_on"),
            (
                C("account_id", "id", "who left", needed=True),
                C("cancelled_on", "day", "when", needed=True),
                C("reason", "text", "why"),
            ),
        ),
        Table(
            "purchases",
            "what an account bought at once",
            ("purchase_id",),
            (
                C("purchase_id", "id", "the order's or invoice's id", needed=True),
                C("account_id", "id", "who bought", needed=True),
                C("bought_at", "moment", "when", needed=True),
                C("amount", "money", "for how much; below zero is a return", needed=True),
                C("currency", "text", "ISO 4217 code"),
            ),
        ),
        Table(
            "rates",
            "what a currency is worth from a day on",
            ("currency", "rate_on"),
            (
                C("currency", "text", "ISO 4217 code", needed=True),
                C("rate_on", "day", "first day it holds; until the next one does", needed=True),
                C("rate", "number", "in the reporting currency", needed=True),
                C("per", "number", "units of the currency that the rate is for; blank is one"),
            ),
        ),
        Table(
            "lines",
            "a product on a deal",
            ("deal_id", "product"),
            (
                C("deal_id", "id", "the deal", needed=True),
                C("product", "text", "the product", needed=True),
                C("quantity", "number", "how many"),
                C("list_price", "money", "list price of one"),
                C("net_amount", "money", "amount of the line after discount"),
            ),
        ),
        Table(
            "splits",
            "a share of the credit for a deal, for a span of time",
            ("deal_id", "rep_id", "kind", "valid_from"),
            (
                C("deal_id", "id", "the deal", needed=True),
                C("rep_id", "id", "who is credited", needed=True),
                C("share", "share", "share of the deal's amount", needed=True),
                C(
                    "kind",
                    "choice",
                    "direct shares part the deal, overlay ones come on top; blank: direct",
                    allowed=("direct", "overlay"),
                    blank="direct",
                ),
                C("valid_from", "day", "first day this row holds; blank: from the beginning"),
                C("valid_to", "day", "last day this row holds; blank: still"),
            ),
        ),
        Table(
            "payments",
            "cash in",
            ("payment_id",),
            (
                C("payment_id", "id", "the payment's id", needed=True),
                C("account_id", "id", "who paid"),
                C("deal_id", "id", "for which deal"),
                C("amount", "money", "how much", needed=True),
                C("currency", "text", "ISO 4217 code"),
                C("paid_at", "moment", "when", needed=True),
            ),
        ),
    )
}
