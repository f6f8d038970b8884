"""From notebook to page: run, render, index, manifest. Knows no analysis."""

import sys

# nbformat's schema checker would build an Earley grammar for IRIs at every start, 1.3 seconds for a check that
# no notebook needs; without the module jsonschema leaves that one check out.
sys.modules.setdefault("rfc3987_syntax", None)
