"""The data contract: canonical tables, reading, checks, what was known on a day, the sample company.

A period belongs to the day it starts. `as_of` is inclusive. Money is integer minor units under
`<name>_minor`; moments are naive UTC; ids are text.
"""

from salesops.crm.book import Book, open
from salesops.crm.dimensions import with_group
from salesops.crm.tables import DIMENSIONS, TABLES

__all__ = ["DIMENSIONS", "TABLES", "Book", "open", "with_group"]
