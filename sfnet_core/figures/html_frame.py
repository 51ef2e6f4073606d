"""One HTML frame for reports: a file that fetches nothing and runs nothing, with tables that are CSV files too.

Every text goes through :func:`html.escape`; figures are pictures inside the file (``data:``), so that no name in them
can reach the page. A content policy bars everything else.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfnet_core.analysis.tables import FORMULA
from sfnet_core.figures.plot import Drawing, render
from sfnet_core.utils.version import __version__

__all__ = ["Part", "Table", "as_csv", "opening", "page"]

STEPS = 5  # shades of each sign in a coloured table
FOLDED = 24  # rows above which a table waits to be opened
SHOWN = 60  # rows of a table on the page; its CSV file has all
STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#4b5a69;--paper:#fff;--line:#d5dde4;--link:#0b6e8f;
--up:255,112,84;--down:84,168,255}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#a9b6c3;--paper:#11181f;--line:#33414e;--link:#6cc3e0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,'Segoe UI',Arial,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 28px 60px}
h1{font-size:24px;margin:0 0 4px}
h2{font-size:18px;margin:36px 0 6px;padding-top:14px;border-top:1px solid var(--line)}
p{margin:6px 0;max-width:90ch}.soft,figcaption,dt{color:var(--soft)}a{color:var(--link)}
ol{columns:2;padding-left:24px;margin:10px 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:10px 0}
dd,th,p,figcaption{overflow-wrap:anywhere}dd{margin:0}td{white-space:nowrap}
thead th{min-width:5ch}thead th:first-child{min-width:9ch}
td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:6ch}
.coloured td{padding:3px 6px}
.figures{display:flex;flex-wrap:wrap;gap:14px;margin:12px 0}
figure{margin:0}.figures>img{width:calc(50% - 7px);min-width:380px;height:auto;
border:1px solid var(--line);background:#fff}
.pair{align-items:flex-start}.pair .strip{width:304px}summary{cursor:pointer;color:var(--link)}
.strips{display:grid;gap:12px;margin:12px 0}.strip{display:flex;flex-wrap:wrap;gap:4px}
.strip img{width:96px;height:96px;object-fit:cover;background:#000}
.scroll{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px}
th,td{padding:3px 9px;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,caption{text-align:left}caption{color:var(--soft);padding:4px 9px}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom;max-width:16ch}
.missing{border-left:3px solid #b7791f;padding-left:10px}
@media print{main{max-width:none;padding:0}.scroll{overflow:visible}table{font-size:9px}
h2{break-after:avoid}.figures>img,.strip,tr{break-inside:avoid}a{color:inherit}}
@media (max-width:700px){ol{columns:1}.figures>img{width:100%;min-width:0}}
"""
STYLE += "".join(
    f".{name}{i}{{background:rgba(var(--{kind}),{0.13 * i:.2f})}}"
    for name, kind in (("u", "up"), ("d", "down"))
    for i in range(1, STEPS + 1)
)


@dataclass
class Table:
    """Columns and rows of texts and numbers; ``file`` is its CSV file's name. ``coloured``: cells are correlations."""

    file: str
    columns: list[str]
    rows: list[list]
    coloured: bool = False
    caption: str = ""


@dataclass
class Part:
    """One figure or table of the paper: ``said`` are its sentences, ``missing`` why it (or a piece of it) is not there.

    ``strips`` are rows of pictures: (heading, [(JPEG, text), …]); ``pairs`` are figures with nine pictures beside
    each.
    """

    key: str
    title: str
    said: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    strips: list[tuple[str, list[tuple[bytes, str]]]] = field(default_factory=list)
    pairs: list[tuple[Drawing, str, list[tuple[bytes, str]]]] = field(default_factory=list)


def as_csv(table: Table) -> str:
    """The table as CSV with every digit; what is not known is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_plain(name) for name in table.columns])
    writer.writerows([["" if _unknown(cell) else _plain(cell) for cell in row] for row in table.rows])
    return out.getvalue()


def opening(title: str, style: str, script: str = "") -> str:
    """A file that fetches nothing, up to its body: its policy lets the browser run ``script`` alone, or nothing."""
    # blob: are figures that the page itself draws and saves; nothing can be fetched from anywhere
    images, runs = ("data: blob:", f" script-src 'sha256-{_hash(script)}';") if script else ("data:", "")
    policy = (
        f"default-src 'none'; img-src {images}; style-src 'sha256-{_hash(style)}';{runs} base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f'<meta name="generator" content="sfnet-core {__version__}">\n<title>{_text(title)}</title>\n'
        f'<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n'
    )


def page(
    title: str, facts: list[list[str]], notes: list[str], parts: list[Part], files: dict[str, str] | None = None
) -> str:
    """The whole page; ``files``: what lies beside it, name → words."""
    head = opening(title, STYLE) + "<body>\n<main>\n"
    body = [f"<h1>{_text(title)}</h1>", *(f"<p>{_text(note)}</p>" for note in notes)]
    body.append('<nav aria-label="Contents"><ol>')
    body += [f'<li><a href="#{part.key}">{_text(part.title)}</a>{_mark(part)}</li>' for part in parts]
    body.append('<li><a href="#origin">Where this comes from</a></li></ol></nav>')
    for part in parts:
        body += _part(part)
    body.append('<h2 id="origin">Where this comes from</h2><dl>')
    body += [f"<dt>{_text(term)}</dt><dd>{_text(words)}</dd>" for term, words in facts]
    if files:
        links = ", ".join(
            f'<a href="{_text(name)}">{_text(name)}</a> ({_text(words)})' for name, words in files.items()
        )
        body.append(f"<dt>Beside this page</dt><dd>{links}</dd>")
    return head + "\n".join([*body, "</dl>", "</main>\n</body>\n</html>\n"])


def _part(part: Part) -> list[str]:
    out = [f'<section><h2 id="{part.key}">{_text(part.title)}</h2>', *(f"<p>{_text(words)}</p>" for words in part.said)]
    out += [f'<p class="missing">{_text(words)}</p>' for words in part.missing]
    if part.drawings:
        out += ['<div class="figures">', *map(_figure, part.drawings), "</div>"]
    for drawing, heading, pictures in part.pairs:
        out.append(f'<div class="figures pair">{_figure(drawing)}{_strip(heading, pictures)}</div>')
    if part.strips:
        out += ['<div class="strips">', *(_strip(*strip) for strip in part.strips), "</div>"]
    for table in part.tables:
        out += _table(table)
    return [*out, "</section>"]


def _strip(heading: str, pictures: list[tuple[bytes, str]]) -> str:
    images = "".join(_image("image/jpeg", jpeg, words) for jpeg, words in pictures)
    return f'<figure><figcaption>{_text(heading)}</figcaption><div class="strip">{images}</div></figure>'


def _table(table: Table) -> list[str]:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in table.columns)
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(table.caption or table.file)}">'
    kind = ' class="coloured"' if table.coloured else ""
    words = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    out = [f"{box}<table{kind}>{words}<thead><tr>{head}</tr></thead><tbody>"]
    for row in table.rows[:SHOWN]:
        cells = "".join(
            f"<td{_shade(cell) if table.coloured else ''}>{_text(_shown(cell, 2 if table.coloured else 4))}</td>"
            for cell in row
        )
        out.append(f"<tr>{cells}</tr>")
    if len(table.rows) > FOLDED:
        out.insert(0, f"<details><summary>The table of {len(table.rows):,} rows</summary>")
    more = f" The first {SHOWN} of {len(table.rows):,} rows." if len(table.rows) > SHOWN else ""
    end = "</details>" if len(table.rows) > FOLDED else ""
    name = _text(table.file)
    said = f'<p class="soft">As a file: <a href="{name}">{name}</a>.{more}</p>' if table.file else ""
    return [*out, f"</tbody></table></div>{end}{said}"]


def _figure(drawing: Drawing) -> str:
    words = " ".join(f"{drawing.title}. {drawing.y_label} against {drawing.x_label}.".split())
    return _image("image/svg+xml", render(drawing), words)


def _image(kind: str, content: bytes, words: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img src="data:{kind};base64,{data}" alt="{_text(words)}" title="{_text(words)}">'


def _shade(cell: object) -> str:
    if not isinstance(cell, float | np.floating) or _unknown(cell):
        return ""
    step = min(STEPS, int(abs(float(cell)) * STEPS + 0.5))
    return f' class="{"u" if cell > 0 else "d"}{step}"' if step else ""


def _shown(cell: Any, digits: int) -> str:
    if _unknown(cell):
        return "–"
    if isinstance(cell, bool | str):
        return str(cell)
    if isinstance(cell, int | np.integer):
        return f"{int(cell):,}"
    return f"{float(cell):.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _plain(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets a leading apostrophe, as in exports."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _unknown(cell: object) -> bool:
    return cell is None or (isinstance(cell, float | np.floating) and not np.isfinite(cell))


def _mark(part: Part) -> str:
    made = part.drawings or part.tables or part.strips or part.pairs
    return ' <span class="soft">(not made)</span>' if part.missing and not made else ""


def _text(words: str) -> str:
    plain = "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in str(words))
    return html.escape(plain)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
