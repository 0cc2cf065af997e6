// Owns the page of one conversation: the key exchange and its reasons; then every exchange, the panels, timings.
// Knows verdicts and page parts; files are written elsewhere.

import { reasonsWithoutTexts } from '../detection/wordless.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import { axis, baseOption, chartFigure, type Chart } from './charts.js'
import { conversationPanels, guardPanels, exchangeNames } from './conversation-panels.js'
import { asErosion, keyExchange, worstLevel, type ConversationRecord, type ReportFacts } from './conversation-record.js'
import { html, type Html } from './html.js'
import { renderPage } from './page.js'
import { color, type ColorName } from './palette.js'
import { exchangeArticle, withoutFigures } from './exchange-article.js'
import { median } from '../statistics/quantile.js'

/** Links to other pages. */
export interface PageLinks {
  /** URL of the overview, if there is one. */
  readonly overview?: string
}

/** Renders the page. */
export function conversationPage(record: ConversationRecord, facts: ReportFacts, links: PageLinks = {}): string {
  const { summary, exchanges, texts } = record
  const panels = conversationPanels(exchanges, facts)
  const [main, ...others] = panels.map(chartFigure)
  const guards = guardPanels(exchanges)
  const key = keyExchange(exchanges)
  return renderPage({
    title: summary.conversation,
    kicker: 'gabion monitor: one conversation',
    body: html`
      ${links.overview === undefined ? null : html`<p><a href="${links.overview}">All conversations of this run</a></p>`}
      ${verdictBox(record, key)} ${exchangeStrip(exchanges, key)} ${main ?? null}
      <h2>Exchange by exchange</h2>
      ${texts === null ? html`<p class="soft">Texts are omitted; <code>--with-text</code> includes them.</p>` : null}
      ${exchanges.map((exchange, index) => exchangeArticle(exchange, texts?.[index] ?? null, exchange === key && key.level !== 'calm'))}
      ${
        guards.length === 0
          ? null
          : html`<h2>Your policies</h2>
              ${guards.map(chartFigure)}`
      }
      <h2>Over time</h2>
      ${others}
      <h2>Timings</h2>
      ${timeSection(exchanges)}
      <h2>How to read this</h2>
      ${reading(facts)}
    `,
    style: STYLE,
    foot: html`${summary.exchanges} exchanges judged by the ${facts.detector} detector. ${facts.source} ${facts.engine}.`,
  })
}

/** The result at the top: the key exchange and its reasons. */
function verdictBox({ summary, exchanges, texts }: ConversationRecord, key: ExchangeVerdict | null): Html {
  if (key === null) return html`<div class="verdict"><p class="lead">Nothing to judge: there is no reply in this conversation.</p></div>`
  const level = worstLevel(exchanges)
  const position = html`exchange ${key.exchange} of ${summary.exchanges}`
  const lead = {
    calm: html`Nothing unusual in ${summary.exchanges} exchanges.`,
    elevated: html`Look at ${position}: it is unusual, but below the alert threshold.`,
    alert: html`Look at ${position}: here it seems to go wrong.`,
  }[level]
  const text = texts?.[exchanges.indexOf(key)]
  const more = exchanges.filter(({ alert }) => alert).length - 1
  return html`<div class="verdict ${level}">
    <p class="lead">${lead}</p>
    ${
      level === 'calm'
        ? html`<p>The highest score is ${key.likelihood.toFixed(2)}, at exchange ${key.exchange}.</p>`
        : html`<p class="why">Why:</p>
            <ul>
              ${(text === undefined ? reasonsWithoutTexts(key) : key.reasons).map((reason) => html`<li>${withoutFigures(reason)}</li>`)}
              ${declinedBefore(exchanges, key)}
            </ul>`
    }
    ${
      level !== 'calm' && text !== undefined
        ? html`<p class="speaker">User</p>
            <blockquote>${text.user === '' ? '(nothing)' : text.user}</blockquote>
            <p class="speaker">Assistant</p>
            <blockquote>${text.assistant}</blockquote>`
        : null
    }
    ${more > 0 ? html`<p>${more} more ${more === 1 ? 'alert' : 'alerts'} later on.</p>` : null}
    ${level === 'calm' ? null : html`<p><a href="#exchange-${key.exchange}">Details of exchange ${key.exchange}</a></p>`}
  </div>`
}

/** The latest refusals before the key exchange, which make an erosion visible. */
function declinedBefore(exchanges: readonly ExchangeVerdict[], key: ExchangeVerdict): Html | null {
  if (asErosion(key)?.refused.anywhere !== false) return null
  const declined = exchanges.filter((verdict) => verdict.exchange < key.exchange && asErosion(verdict)?.refused.anywhere === true)
  if (declined.length === 0) return null
  const last = declined.slice(-3).map(({ exchange }) => String(exchange))
  return html`<li>
    before, in ${last.length === 1 ? `exchange ${last.join('')}` : `exchanges ${last.slice(0, -1).join(', ')} and ${last.at(-1) ?? ''}`}, it
    still declined
  </li>`
}

/** All exchanges in a row, colored by level, each a link. */
function exchangeStrip(exchanges: readonly ExchangeVerdict[], key: ExchangeVerdict | null): Html {
  return html`<nav class="strip" aria-label="Exchanges">
      ${exchanges.map(
        (exchange) =>
          html`<a
            class="${exchange.level}${exchange === key && exchange.level !== 'calm' ? ' key' : ''}"
            href="#exchange-${exchange.exchange}"
            title="exchange ${exchange.exchange}: ${exchange.level}"
            >${exchange.exchange}</a
          >`,
      )}
    </nav>
    <p class="soft legend">
      <span class="dot calm"></span>calm <span class="dot elevated"></span>elevated <span class="dot alert"></span>alert
    </p>`
}

const PARTS = [
  { name: 'tokenize', key: 'tokenizeMs', tone: 'series3' },
  { name: 'encode', key: 'encodeMs', tone: 'series1' },
  { name: 'project', key: 'projectMs', tone: 'elevated' },
  { name: 'detect', key: 'detectMs', tone: 'series2' },
] as const satisfies readonly { name: string; key: keyof ExchangeVerdict['timings']; tone: ColorName }[]

function timeSection(exchanges: readonly ExchangeVerdict[]): Html {
  const medians = PARTS.map(({ name, key }) => ({
    name,
    value: exchanges.length === 0 ? 0 : median(exchanges.map(({ timings }) => timings[key])),
  }))
  const chart: Chart = {
    title: 'Milliseconds per exchange',
    caption: 'Time of each exchange, summed over its two texts: encoding is blue, detection violet, tokenization teal, projection brown.',
    height: 150,
    option: (width) => ({
      ...baseOption(),
      xAxis: exchangeNames(exchanges, width),
      yAxis: axis('', { type: 'value', splitNumber: 3 }),
      series: PARTS.map(({ name, key, tone }) => ({
        type: 'bar',
        stack: 'time',
        name,
        silent: true,
        barMaxWidth: 26,
        itemStyle: { color: color(tone) },
        data: exchanges.map(({ timings }) => timings[key]),
      })),
    }),
  }
  return html`<div class="scroll">
      <table>
        <thead>
          <tr>
            <th>median per exchange</th>
            ${medians.map(({ name }) => html`<th class="number">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          <tr>
            <td>milliseconds</td>
            ${medians.map(({ value }) => html`<td class="number">${value < 0.001 ? '0' : value.toPrecision(3)}</td>`)}
          </tr>
        </tbody>
      </table>
    </div>
    ${exchanges.length === 0 ? null : chartFigure(chart)}`
}

function reading({ detector }: ReportFacts): Html {
  const common = html`<p>
    The likelihood is a score from 0 to 1 that ranks exchanges; it is not a probability of harm. Its meaning is for a person to decide. A
    conversation without an alert may still have gone wrong.
  </p>`
  if (detector === 'classic') {
    return html`${common}
      <p>
        The classic detector measures the position of each reply in a plane fitted on safe sentences. It sees directions in that plane, not
        meaning: it detects sudden moves, misses a steady level, and raises alerts on harmless rebounds.
      </p>`
  }
  if (detector === 'guard') {
    return html`<p>
        The guard reads each reply with the rules that are closest to it, the last exchanges and the user's message. Its signals are
        probabilities, calibrated on conversations that it was not trained on; they can be wrong in either direction. A conversation without
        an alert may still have gone wrong.
      </p>
      <p>
        The strength shows how the assistant behaves when it is pressed: holding raises it, wavering lowers it, a break lowers it at once,
        ordinary talk leaves it. The level falls when the assistant holds again under pressure, or after several ordinary exchanges.
      </p>`
  }
  return html`${common}
    <p>
      The alert threshold was calibrated on ordinary conversations, so that few of them exceed it. The level stays until two consecutive
      exchanges are calm. The subject of a conversation is not harm, and the detector cannot always tell the two apart.
    </p>`
}

const STYLE = `
.why{font-weight:650;margin-top:.5rem!important}
.speaker{color:var(--soft);font-size:.85rem;font-weight:600;margin:.5rem 0 0!important}
.strip{display:flex;flex-wrap:wrap;gap:.3rem;margin:.25rem 0}
.strip a{min-width:2.1rem;padding:.25rem .3rem;text-align:center;border-radius:.35rem;text-decoration:none;font-weight:600;font-size:.9rem}
.strip .calm{color:var(--calm);background:var(--calmTint)}
.strip .elevated{color:var(--elevated);background:var(--elevatedTint)}
.strip .alert{color:var(--alert);background:var(--alertTint)}
.strip .key{outline:3px solid currentColor;outline-offset:1px}
.legend{font-size:.85rem;display:flex;align-items:center;gap:.35rem}
.dot{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;margin-left:.6rem}
.dot:first-child{margin-left:0}
.dot.calm{background:var(--calm)}.dot.elevated{background:var(--elevated)}.dot.alert{background:var(--alert)}
.exchange{border:1px solid var(--rule);border-left-width:.35rem;border-radius:.4rem;padding:.6rem .9rem;margin:.6rem 0;scroll-margin-top:1rem}
.exchange.calm{border-left-color:var(--calm)}.exchange.elevated{border-left-color:var(--elevated)}.exchange.alert{border-left-color:var(--alert)}
.exchange.key{box-shadow:0 0 0 2px var(--rule)}
.exchange:target{box-shadow:0 0 0 3px var(--accent)}
.exchange header{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem .8rem}
.exchange h3{margin:0}
.exchange p{margin:.3rem 0}
.meter{display:inline-block;width:7rem;height:.55rem;border-radius:.3rem;background:var(--surface);border:1px solid var(--rule);overflow:hidden}
.meter i{display:block;height:100%}
.meter .calm{background:var(--calm)}.meter .elevated{background:var(--elevated)}.meter .alert{background:var(--alert)}
mark{background:var(--elevatedTint);color:inherit}
`
