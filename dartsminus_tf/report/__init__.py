"""The report of analyses and studies: sections of text, tables and figures, one look, one page."""
