"""The look of the report; light or dark as the reader's system is."""

from __future__ import annotations

STYLE = """
:root {
  --page: #f6f7f9; --sheet: #ffffff; --ink: #1b2430; --soft: #5d6b7e; --line: #e1e6ec;
  --accent: #2563a8; --good: #3a8f6b; --bad: #cf5c36; --warn-page: #fff4de; --warn-ink: #7a4b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141d; --sheet: #161d29; --ink: #e2e8f0; --soft: #93a1b5; --line: #273143;
    --accent: #6aa9e9; --good: #57b58d; --bad: #e8825f; --warn-page: #33270f; --warn-ink: #f3c878;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
.kicker { margin: 0; color: var(--accent); font-weight: 600; letter-spacing: .04em; }
h1 { margin: 4px 0 8px; font-size: 32px; line-height: 1.2; }
h2 { margin: 0 0 16px; font-size: 19px; }
a { color: var(--accent); }
.facts { margin: 0 0 12px; color: var(--soft); overflow-wrap: anywhere; }
.warning {
  background: var(--warn-page); color: var(--warn-ink); padding: 10px 14px; border-radius: 8px;
}
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; }
.card, section, figure, details {
  background: var(--sheet); border: 1px solid var(--line); border-radius: 12px;
}
.card { padding: 16px 18px; }
.card b { display: block; font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 14px; }
section, details { margin-top: 20px; padding: 22px 24px; overflow-x: auto; }
figure { margin: 20px 0 0; overflow: hidden; }
section figure { margin: 0 0 16px; }
img { display: block; width: 100%; height: auto; background: #0f141d; }
figcaption { padding: 10px 16px; color: var(--soft); font-size: 14px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; font-size: 14px; }
th, td { text-align: left; padding: 7px 12px; border-bottom: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
tbody tr:last-child td { border-bottom: 0; }
.note { margin: 12px 0 0; color: var(--soft); font-size: 14px; }
.strip { display: flex; flex-wrap: wrap; gap: 3px; margin-bottom: 16px; }
.strip i { width: 14px; height: 14px; border-radius: 3px; background: var(--good); }
.strip i.lost { background: var(--bad); }
td.wide { width: 45%; padding-right: 0; }
.bar { position: relative; height: 12px; }
.bar i { position: absolute; inset: 0 auto 0 0; border-radius: 3px; background: var(--accent); }
.bar i.p99 { opacity: .3; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: 13px; color: var(--soft); }
code { font-size: 14px; }
"""
