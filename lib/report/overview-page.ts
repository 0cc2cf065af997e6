// Owns the overview page of a run: all conversations, the most severe first, with links to their pages.

import type { Level } from '../detection/detector.js'
import type { ConversationSummary } from '../monitor/watch.js'
import type { ReportFacts } from './conversation-record.js'
import { html } from './html.js'
import { renderPage } from './page.js'
import { withoutFigures } from './exchange-article.js'

/** One conversation in the list. */
export interface OverviewRow {
  readonly summary: ConversationSummary
  /** Its highest level. */
  readonly level: Level
  /** Reasons of its key exchange; empty for a calm conversation. */
  readonly reasons: readonly string[]
  /** URL of its page; null if it has none. */
  readonly page: string | null
}

/** Renders the page; `rows` are the most severe of all conversations, in order. */
export function overviewPage(
  rows: readonly OverviewRow[],
  counts: { readonly conversations: number; readonly exchanges: number; readonly alerting: number },
  facts: ReportFacts,
): string {
  const { conversations, exchanges, alerting } = counts
  const without = rows.filter(({ page }) => page === null).length + conversations - rows.length
  return renderPage({
    title: `${String(conversations)} conversations`,
    kicker: 'gabion monitor: all conversations of a run',
    body: html`
      <div class="verdict ${alerting > 0 ? 'alert' : 'calm'}">
        <p class="lead">
          ${
            alerting === 0
              ? 'No conversation raised an alert.'
              : `${String(alerting)} of ${String(conversations)} conversations raised an alert.`
          }
        </p>
        <p>${exchanges} exchanges were judged. The most severe conversations come first.</p>
      </div>
      <div class="scroll">
        <table class="list">
          <thead>
            <tr>
              <th>conversation</th>
              <th>level</th>
              <th class="number">exchange</th>
              <th class="number">highest</th>
              <th>why</th>
            </tr>
          </thead>
          <tbody>
            ${rows.map(({ summary, level, reasons, page }) => {
              const { conversation, firstAlert, highest } = summary
              return html`<tr>
                <td>${page === null ? conversation : html`<a href="${page}">${conversation}</a>`}</td>
                <td><span class="badge ${level}">${level}</span></td>
                <td class="number" data-name="exchange">${firstAlert ?? highest?.exchange ?? ''}</td>
                <td class="number" data-name="highest">${highest === null ? '' : highest.likelihood.toFixed(2)}</td>
                <td>${reasons.map(withoutFigures).join('; ')}</td>
              </tr>`
            })}
          </tbody>
        </table>
      </div>
      ${without === 0 ? null : html`<p class="soft">The ${without} calmest conversations have no page.</p>`}
    `,
    style: STYLE,
    foot: html`Judged by the ${facts.detector} detector. ${facts.source} ${facts.engine}.`,
  })
}

/** On narrow screens each row becomes a card. */
const STYLE = `
@media (max-width:40rem){
.list thead{display:none}
.list tr{display:block;border-bottom:1px solid var(--rule);padding:.6rem 0}
.list td{display:inline-block;border:0;padding:0 .8rem 0 0;text-align:left!important}
.list td:first-child,.list td:last-child{display:block}
.list td:first-child{font-weight:600;overflow-wrap:anywhere}
.list td[data-name]::before{content:attr(data-name) " ";color:var(--soft)}
}
`
