// Owns one exchange in a page: level, score, reasons, texts on request, and collapsible figures.

import { reasonsWithoutTexts } from '../detection/wordless.js'
import type { ExchangeVerdict, JudgeFinding } from '../detection/verdict.js'
import { asErosion, asGuard, type ExchangeTexts } from './conversation-record.js'
import { html, type Html } from './html.js'
import { valueTable } from './page.js'

/** Renders an exchange; `key` marks the one to look at first. */
export function exchangeArticle(verdict: ExchangeVerdict, texts: ExchangeTexts | null, key: boolean): Html {
  const { exchange, level, likelihood, alert, truncated } = verdict
  const reasons = texts === null ? reasonsWithoutTexts(verdict) : verdict.reasons
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
      ${figures(verdict, texts !== null)}
    </details>
  </article>`
}

/** A reason without the figures in parentheses at its end, which are in the table below; a quoted rule keeps its own. */
export function withoutFigures(reason: string): string {
  return reason.replace(/ \((?=[^()]*\d)[^()]*\)$/, '')
}

function textsOf(verdict: ExchangeVerdict, { user, assistant }: ExchangeTexts): Html {
  const window = asErosion(verdict)?.window
  const sentence = verdict.sentence ?? ''
  const at = sentence === '' ? -1 : assistant.indexOf(sentence)
  const part = at >= 0 ? { start: at, end: at + sentence.length } : window === undefined || window.count < 2 ? null : window
  const marked =
    part === null
      ? html`${assistant}`
      : html`${assistant.slice(0, part.start)}<mark>${assistant.slice(part.start, part.end)}</mark>${assistant.slice(part.end)}`
  return html`<p class="speaker">User</p>
    <blockquote>${user === '' ? '(nothing)' : user}</blockquote>
    <p class="speaker">Assistant</p>
    <blockquote>${assistant === '' ? '(nothing)' : marked}</blockquote>`
}

function figures(verdict: ExchangeVerdict, withTexts: boolean): Html {
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
  if (asGuard(verdict) !== null) rows.push(...guardRows(verdict, withTexts))
  rows.push(['total time', `${timings.totalMs.toFixed(1)} ms`])
  return valueTable(rows)
}

function guardRows({ signals, strength, rule, judge }: ExchangeVerdict, withTexts: boolean): [string, string][] {
  const named = Object.entries({ ...signals }).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value.toFixed(3)}`]))
  return [
    ['signals', signals === null ? 'not read: nothing suspicious' : named.join(', ')],
    ['guardrail strength', (strength ?? 1).toFixed(3)],
    ...(typeof rule === 'string' ? [['rule', rule] satisfies [string, string]] : []),
    ...(judge === undefined || judge === null ? [] : [['judge', judgeText(judge, withTexts)] satisfies [string, string]]),
  ]
}

/** A judge's reason may quote the conversation. */
function judgeText({ breaks, reason, model }: JudgeFinding, withTexts: boolean): string {
  return `${breaks === null ? 'no answer' : breaks ? 'breaks a rule' : 'keeps the rules'} (${model})${withTexts ? `: ${reason}` : ''}`
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
