// Owns one exchange in a page: level, score, reasons, texts on request, and collapsible figures.

import type { ExchangeVerdict } from '../detection/verdict.js'
import { asErosion, type ExchangeTexts } from './conversation-record.js'
import { html, type Html } from './html.js'
import { valueTable } from './page.js'

/** Renders an exchange; `key` marks the one to look at first. */
export function exchangeArticle(verdict: ExchangeVerdict, texts: ExchangeTexts | null, key: boolean): Html {
  const { exchange, level, likelihood, reasons, alert, truncated } = verdict
  const percent = Math.round(100 * Math.min(1, Math.max(0, likelihood)))
  return html`<article class="exchange ${level}${key ? ' key' : ''}" id="exchange-${exchange}">
    <header>
      <h3>Exchange ${exchange}</h3>
      <span class="badge ${level}">${alert ? 'alert raised' : level}</span>
      <span class="meter" title="likelihood ${likelihood.toFixed(2)}"><i class="${level}" style="width:${percent}%"></i></span>
      <span class="soft">${likelihood.toFixed(2)}</span>
    </header>
    ${
      reasons.length === 0
        ? null
        : html`<ul>
            ${reasons.map((reason) => html`<li>${withoutFigures(reason)}</li>`)}
          </ul>`
    }
    ${truncated ? html`<p class="soft">A text was truncated to the model's maximum length.</p>` : null}
    ${texts === null ? null : textsOf(verdict, texts)}
    <details>
      <summary>Figures</summary>
      ${figures(verdict)}
    </details>
  </article>`
}

/** A reason without its figures in parentheses, which are in the table below. */
export function withoutFigures(reason: string): string {
  return reason.replaceAll(/ \((?=[^()]*\d)[^()]*\)/g, '')
}

function textsOf(verdict: ExchangeVerdict, { user, assistant }: ExchangeTexts): Html {
  const window = asErosion(verdict)?.window
  const marked =
    window === undefined || window.count < 2
      ? html`${assistant}`
      : html`${assistant.slice(0, window.start)}<mark>${assistant.slice(window.start, window.end)}</mark>${assistant.slice(window.end)}`
  return html`<p class="speaker">User</p>
    <blockquote>${user === '' ? '(nothing)' : user}</blockquote>
    <p class="speaker">Assistant</p>
    <blockquote>${assistant === '' ? '(nothing)' : marked}</blockquote>`
}

function figures(verdict: ExchangeVerdict): Html {
  const { likelihood, risk, drift, acceleration, cumulative, ratio, timings } = verdict
  const rows: [string, string][] = [
    ['likelihood', likelihood.toFixed(3)],
    ['risk', risk.toFixed(3)],
    ['drift', drift.toFixed(3)],
    ['acceleration', acceleration.toFixed(3)],
    ['cumulative', cumulative.toFixed(3)],
  ]
  if (ratio !== null) rows.push(['ratio', ratio.toFixed(3)])
  const erosion = asErosion(verdict)
  if (erosion !== null) rows.push(...erosionRows(erosion))
  rows.push(['total time', `${timings.totalMs.toFixed(1)} ms`])
  return valueTable(rows)
}

function erosionRows({
  logit,
  statistic,
  thresholds,
  contributions,
  anchors,
  window,
}: NonNullable<ReturnType<typeof asErosion>>): [string, string][] {
  const rows: [string, string][] = [
    ['score', `${statistic.toFixed(3)}; elevated from ${thresholds.elevated.toFixed(3)}, alert from ${thresholds.alert.toFixed(3)}`],
  ]
  if (contributions !== null) {
    const { reply, user, product, openingRefusal, refusal, intercept } = contributions
    const parts = Object.entries({
      reply,
      request: user,
      'both together': product,
      'refusal in the opening': openingRefusal,
      refusal,
      constant: intercept,
    })
    rows.push(['contributions', `${parts.map(([name, value]) => `${name} ${value.toFixed(3)}`).join(', ')}; together ${logit.toFixed(3)}`])
    rows.push([
      'most similar training replies',
      `unsafe: ${anchors.unsafe.tag} (${anchors.unsafe.cosine.toFixed(2)}); safe: ${anchors.safe.tag} (${anchors.safe.cosine.toFixed(2)})`,
    ])
  }
  if (window.count > 1)
    rows.push(['highest-scoring window', `${window.index + 1} of ${window.count}, characters ${window.start} to ${window.end}`])
  return rows
}
