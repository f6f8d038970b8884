"""What the page of restatements can be told."""

from typing import ClassVar

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at",), "changes": ()}

    months: int = option("months before the period's last one that are looked at again", unit="months", ge=1, le=12)
    listed: int = option("deals listed, those that changed a figure most first", unit="deals", ge=1, le=1000)
