"""The data contract: canonical tables, reading, checks, what was known on a day, the sample company.

A period belongs to the day it starts. `as_of` is inclusive. Money is integer minor units under
`<name>_minor`; moments are naive UTC; ids are text.
"""

import lazy_loader

# Parameters are checked before anything heavy is imported, and they know the names of the dimensions.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "book": ["Book", "open"],
        "dimensions": ["ALL", "NOT_KNOWN", "known_dimensions", "with_dimensions", "with_group"],
        "months": ["day_number", "month_number"],
        "owners": ["with_assignment", "with_owner"],
        "pipelines": ["find_pipeline"],
        "quotas": ["by_assignment", "count_reps", "find_quota"],
        "tables": ["DIMENSIONS", "TABLES"],
    },
)
