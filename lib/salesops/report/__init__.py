"""From notebook to page: run, render, index, manifest. Knows no analysis."""
