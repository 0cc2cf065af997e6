// Owns the bodies that destinations get: gabion's own JSON, and text blocks as Slack and services compatible with it read them.

import type { Alert, ReplyOutcome } from './alert.js'

/** Forms of a body. */
export const ALERT_FORMATS = ['json', 'slack'] as const
/** See {@link ALERT_FORMATS}. */
export type AlertFormat = (typeof ALERT_FORMATS)[number]

/** The JSON of an alert. `link` opens the conversation at the exchange, null without a dashboard. */
export function alertBody(alert: Alert, format: AlertFormat, dashboard: string | null): string {
  const link = dashboard === null ? null : linkTo(dashboard, alert)
  return JSON.stringify(format === 'slack' ? slackBody(alert, link) : jsonBody(alert, link))
}

/** The dashboard's page of an exchange. */
export function linkTo(dashboard: string, { conversation, exchange }: Pick<Alert, 'conversation' | 'exchange'>): string {
  return `${dashboard.replace(/\/*$/, '/')}#conversation=${encodeURIComponent(conversation)}&exchange=${exchange}`
}

function jsonBody({ details, ...alert }: Alert, link: string | null): object {
  return { type: 'alert', ...alert, link, ...(details !== null && { details }) }
}

const OUTCOMES: Readonly<Record<ReplyOutcome, string>> = {
  passed: 'the reply reached the user',
  cut: 'the reply was cut',
  held: 'the reply was held back',
  ended: 'the conversation was ended',
}

// Slack's limits are 3,000 characters per section and 150 per header.
const MAX_SECTION_LENGTH = 2900
const MAX_SHOWN_ID_LENGTH = 100

function slackBody(alert: Alert, link: string | null): object {
  const { conversation, exchange, likelihood, reasons, caller, tenant, reply, at, details } = alert
  const name = conversation.length <= MAX_SHOWN_ID_LENGTH ? conversation : `${conversation.slice(0, MAX_SHOWN_ID_LENGTH)}…`
  const title = `Alert in conversation ${name}, exchange ${exchange}`
  const { sentence = null } = details ?? {}
  const lines = [
    link === null ? `*${escaped(title)}*` : `*<${escaped(link)}|${escaped(title)}>*`,
    ...(details?.reasons ?? reasons).map((reason) => `• ${escaped(reason)}`),
    ...(sentence === null ? [] : [`> ${escaped(sentence.replaceAll('\n', ' '))}`]),
  ]
  const about = [
    `likelihood ${likelihood.toFixed(2)}`,
    ...(reply === null ? [] : [OUTCOMES[reply]]),
    ...(tenant === null ? [] : [`tenant ${tenant}`]),
    ...(caller === null ? [] : [`caller ${caller}`]),
    at,
    `id ${alert.id}`,
  ]
  const section = (text: string): object => ({ type: 'mrkdwn', text: text.slice(0, MAX_SECTION_LENGTH) })
  return {
    text: escaped(title),
    blocks: [
      { type: 'section', text: section(lines.join('\n')) },
      { type: 'context', elements: [section(about.map(escaped).join(' · '))] },
    ],
  }
}

/** Slack's own escapes: nothing in a text can become a link, a mention or a channel. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
