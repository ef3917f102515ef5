"""One self-contained `report.html`: every section's text, tables and figures, readable from disk without a network.

Each analysis writes its section to `sections/`; the report is made anew from all sections that are there, so analyses
can be run one by one.
"""

import html
from pathlib import Path
from urllib.parse import quote

from dartsminus_tf.foundation.disk.files import is_leftover, write_atomically, write_json
from dartsminus_tf.foundation.disk.tables import Row, cell_text
from dartsminus_tf.foundation.output import shown
from dartsminus_tf.report.sections import Content, Item, figure, read_section

ORDER = (
    *("skip_advantage", "methods", "compare", "beta_ablation", "transfer"),
    *("alpha", "cell", "hessian", "landscape"),
)

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # no script, nothing from elsewhere
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; border-top: 1px solid #ddd; padding-top: 1rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #eee; white-space: nowrap; }
nav a { margin-right: 1rem; }
"""


class Section:
    """One analysis in the report.

    Args:
        mode: its name, and that of its file.
        title: its heading.
    """

    def __init__(self, mode: str, title: str):
        self.mode, self.title = mode, shown(title)
        self.items: list[dict] = []

    def text(self, words: str) -> None:
        """Add a paragraph."""
        self.items.append({"text": shown(words)})

    def table(self, rows: list[Row]) -> None:
        """Add a table."""
        self.items.append({"table": [{name: shown(cell_text(value)) for name, value in row.items()} for row in rows]})

    def figure(self, path: Path, caption: str) -> None:
        """Add a PNG file."""
        self.items.append({"figure": path.name, "caption": shown(caption)})

    def file(self, path: Path) -> None:
        """Name a data file that lies beside the report."""
        self.items.append({"file": path.name})

    def write(self, directory: Path) -> Path:
        """Write the section, then the report of all sections in `directory`; returns the report's path."""
        sections = directory / "sections"
        sections.mkdir(parents=True, exist_ok=True)
        content = {"mode": self.mode, "title": self.title, "items": self.items}
        write_json(sections / f"{self.mode}.json", content)
        return write_report(directory)


def read_sections(directory: Path) -> list[Content]:
    """The sections that are there, in the report's order.

    Raises:
        UsageError: where one is no section of this report.
    """
    files = (path for path in (directory / "sections").glob("*.json") if not is_leftover(path))
    found = {path.stem: path for path in files}
    modes = [mode for mode in ORDER if mode in found] + sorted(set(found) - set(ORDER))
    return [read_section(found[mode]) for mode in modes]


def write_report(directory: Path) -> Path:
    """Make `report.html` from the sections in `directory`."""
    sections = read_sections(directory)
    links = "".join(f'<a href="#{section.mode}">{_escaped(section.title)}</a>' for section in sections)
    body = "".join(_section(section, directory) for section in sections)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>DARTS- analysis</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><h1>DARTS- analysis</h1><nav>{links}</nav>{body}</body></html>\n"
    )
    path = directory / "report.html"
    write_atomically(path, page)
    return path


def _escaped(text: str) -> str:
    """`text` as HTML that shows it, in an element or in a quoted attribute."""
    return html.escape(shown(text))


def _section(section: Content, directory: Path) -> str:
    items = "".join(_item(item, directory) for item in section.items)
    return f'<section id="{section.mode}"><h2>{_escaped(section.title)}</h2>{items}</section>'


def _item(item: Item, directory: Path) -> str:
    if item.text is not None:
        return f"<p>{_escaped(item.text)}</p>"
    if item.table is not None:
        return _table(item.table)
    if item.file is not None:
        return f'<p>Data: <a href="./{quote(item.file)}">{_escaped(item.file)}</a></p>'
    return _figure(directory, item.figure, item.caption)


def _table(rows: list[dict[str, str]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{_escaped(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(row.get(name, ''))}</td>" for name in names) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(directory: Path, name: str, caption: str) -> str:
    image, width, height = figure(directory, name)
    return (
        f'<figure><img src="data:image/png;base64,{image}" width="{width}" height="{height}" '
        f'alt="{_escaped(caption)}"><figcaption>{_escaped(caption)}</figcaption></figure>'
    )
