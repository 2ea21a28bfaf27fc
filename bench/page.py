"""A document that is written twice: as Markdown and as one HTML file that needs no network."""
import html
import re

STYLE = """
:root { color-scheme: light dark; --text: #1d2430; --soft: #5c6675; --line: #d9dee6; --back: #ffffff;
  --panel: #f5f7fa; --good: #1b7f4b; --bad: #b3372f; --accent: #2b62c4; }
@media (prefers-color-scheme: dark) { :root { --text: #dfe5ee; --soft: #97a3b4; --line: #323b48;
  --back: #14181f; --panel: #1c222b; --good: #58c48c; --bad: #ef8078; --accent: #7ba6f7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 80px; }
h1 { font-size: 26px; margin: 8px 0 4px; } h2 { font-size: 20px; margin: 40px 0 8px; }
h3 { font-size: 16px; margin: 28px 0 6px; } p, li { max-width: 82ch; }
code { font: 13px/1.4 ui-monospace, monospace; background: var(--panel); padding: 1px 4px; border-radius: 3px; }
pre { background: var(--panel); padding: 10px 12px; border-radius: 6px; overflow-x: auto; }
pre code { padding: 0; }
.scroll { overflow-x: auto; margin: 8px 0 14px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { text-align: right; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); padding: 4px 9px; }
td { text-align: right; border-bottom: 1px solid var(--line); padding: 3px 9px; }
th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 700; color: var(--good); } td.bad { color: var(--bad); } td.off { color: var(--soft); }
tr:hover td { background: var(--panel); }
nav { columns: 3; font-size: 14px; margin: 12px 0 0; } nav a { display: block; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
figure { margin: 10px 0 18px; overflow-x: auto; } figcaption { color: var(--soft); font-size: 13px; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
@media print { nav { display: none; } .scroll { overflow: visible; } }
"""


def inline(text):
    """Markdown of a line, as far as it is used here, in HTML."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"(?<!\w)\*(\w[^*]*\w)\*(?!\w)", r"<em>\1</em>", text)
    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)


def anchor(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class Page:
    def __init__(self, title):
        self.title = title
        self.markdown, self.html, self.contents = [f"# {title}\n"], [], []

    def heading(self, text, level=2):
        self.markdown.append(f"{'#' * level} {text}\n")
        self.html.append(f'<h{level} id="{anchor(text)}">{inline(text)}</h{level}>')
        if level == 2:
            self.contents.append(text)

    def text(self, text):
        self.markdown.append(text + "\n")
        self.html.append(f"<p>{inline(text)}</p>")

    def items(self, lines):
        self.markdown.append("".join(f"* {line}\n" for line in lines))
        self.html.append("<ul>" + "".join(f"<li>{inline(line)}</li>" for line in lines) + "</ul>")

    def code(self, text):
        self.markdown.append(f"```\n{text}\n```\n")
        self.html.append(f"<pre><code>{html.escape(text)}</code></pre>")

    def table(self, head, rows):
        """A cell is text, or (text, class): best, bad, off; best is bold in Markdown too."""
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        body = []
        for row in rows:
            cells = [cell if isinstance(cell, tuple) else (str(cell), "") for cell in row]
            lines.append("| " + " | ".join(f"**{text}**" if kind == "best" else text for text, kind in cells) + " |")
            body.append("<tr>" + "".join(f'<td class="{kind}">{inline(text)}</td>' if kind else f"<td>{inline(text)}</td>"
                                         for text, kind in cells) + "</tr>")
        self.markdown.append("\n".join(lines) + "\n")
        names = "".join(f"<th>{inline(name)}</th>" for name in head)
        self.html.append(f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>'
                         + "".join(body) + "</tbody></table></div>")

    def figure(self, svg, caption):
        """On the HTML page alone."""
        self.html.append(f"<figure>{svg}<figcaption>{inline(caption)}</figcaption></figure>")

    def write(self, markdown=None, page=None):
        if markdown:
            markdown.write_text("\n".join(self.markdown))
        if page:
            links = "".join(f'<a href="#{anchor(text)}">{inline(text)}</a>' for text in self.contents)
            page.write_text(
                '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f"<title>{html.escape(self.title)}</title><style>{STYLE}</style></head><body><main>"
                f"<h1>{html.escape(self.title)}</h1><nav>{links}</nav>\n"
                + "\n".join(self.html) + "\n</main></body></html>\n")
