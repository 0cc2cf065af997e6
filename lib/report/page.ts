// Owns the shell of every page: one self-contained file that loads nothing, with the system's light or dark theme, readable on a
// phone and in print. Knows no content.

import { createHash } from 'node:crypto'
import { html, trusted, type Html, type HtmlValue } from './html.js'
import { declarations } from './palette.js'

/** Parts of a page. */
export interface PageParts {
  /** Title of the browser tab, and the heading unless {@link heading} is given. */
  readonly title: string
  /** Line above the heading. */
  readonly kicker?: string
  /** Replaces the title as heading. */
  readonly heading?: Html
  readonly body: Html
  /** Page-specific CSS, after the common CSS. */
  readonly style?: string
  /** Footer: tool and source of the page. */
  readonly foot?: Html
  /** Optional script; the page must be complete without it. */
  readonly script?: string
}

/** Renders a page. Its content security policy forbids all loading and all scripts but `script`. */
export function renderPage({ title, kicker, heading, body, style = '', foot, script }: PageParts): string {
  const scripts = script === undefined ? `'none'` : `'sha256-${createHash('sha256').update(script).digest('base64')}'`
  const policy = `default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src ${scripts}; base-uri 'none'; form-action 'none'`
  return `${
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta http-equiv="Content-Security-Policy" content="${policy}" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <title>${title}</title>
          <style>
            ${trusted(STYLE + style)}
          </style>
        </head>
        <body>
          <main>
            <header>
              ${kicker === undefined ? null : html`<p class="kicker">${kicker}</p>`}
              <h1>${heading ?? title}</h1>
            </header>
            ${body} ${foot === undefined ? null : html`<footer>${foot}</footer>`}
          </main>
          ${script === undefined ? null : trusted(`<script>${script}</script>`)}
        </body>
      </html>`.text
  }\n`
}

/** A table of names and values. */
export function valueTable(rows: readonly (readonly [name: string, value: string])[]): Html {
  return html`<div class="scroll">
    <table>
      <tbody>
        ${rows.map(
          ([name, value]) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td>${value}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}

/** A table under a head: names in the first column, numbers in the others. */
export function dataTable(head: readonly string[], rows: readonly (readonly HtmlValue[])[]): Html {
  const kind = (column: number): string => (column === 0 ? '' : 'number')
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${head.map((cell, column) => html`<th class="${kind(column)}">${cell}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell, column) => html`<td class="${kind(column)}">${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}

const STYLE = `
:root{color-scheme:light dark;${declarations('light')}}
@media (prefers-color-scheme:dark){:root{${declarations('dark')}}}
@media print{:root{${declarations('light')}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.25rem 1rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;line-height:1.3;margin:2.25rem 0 .5rem}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
p{margin:.4rem 0;max-width:46rem}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.kicker{color:var(--soft);margin:0;font-size:.9rem;overflow-wrap:anywhere}
.soft,.caption,footer{color:var(--soft)}
.caption{font-size:.9rem;margin:0 0 .25rem}
footer{margin-top:3rem;padding-top:.75rem;border-top:1px solid var(--rule);font-size:.85rem;overflow-wrap:anywhere}
.verdict{border-left:.4rem solid var(--rule);background:var(--surface);border-radius:.4rem;padding:.8rem 1rem;margin:0 0 1.25rem}
.verdict p{margin:.25rem 0}.verdict .lead{font-size:1.25rem;font-weight:650;line-height:1.3}
.verdict.calm{border-color:var(--calm);background:var(--calmTint)}
.verdict.elevated{border-color:var(--elevated);background:var(--elevatedTint)}
.verdict.alert{border-color:var(--alert);background:var(--alertTint)}
.badge{display:inline-block;padding:.05rem .5rem;border-radius:1rem;font-size:.85rem;font-weight:600;white-space:nowrap}
.badge.calm{color:var(--calm);background:var(--calmTint)}
.badge.elevated{color:var(--elevated);background:var(--elevatedTint)}
.badge.alert{color:var(--alert);background:var(--alertTint)}
figure{margin:1.25rem 0}
figcaption h2,figcaption h3{margin:0}
.chart svg{display:block;width:100%;height:auto;max-width:100%}
.chart.narrow{display:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:.5rem 0}
th,td{padding:.35rem .6rem .35rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:600;font-size:.85rem}
td.number,th.number{text-align:right}
ul{margin:.3rem 0;padding-left:1.2rem}
details summary{cursor:pointer;color:var(--accent)}
code{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em;overflow-wrap:anywhere}
blockquote{margin:.4rem 0;padding:.1rem 0 .1rem .75rem;border-left:3px solid var(--rule);white-space:pre-wrap;overflow-wrap:anywhere}
@media (max-width:40rem){
main{padding:1rem .8rem 2rem}h1{font-size:1.35rem}
.chart.wide{display:none}.chart.narrow{display:block}
}
@media print{main{max-width:none}figure,.exchange{break-inside:avoid}}
`
