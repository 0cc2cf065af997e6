// Owns the making of an alert from a verdict. Knows its fields, not how it is delivered.

import type { ExchangeVerdict } from '../detection/verdict.js'
import { wordlessReasons } from '../detection/wordless.js'
import { nodeCrypto } from '../lazy.js'
import type { Alert, AlertOrigin } from './alert.js'

/** The alert of a verdict; null for a verdict without one. */
export function alertOf(
  verdict: ExchangeVerdict,
  { caller = null, tenant = null, onAlert = null }: AlertOrigin,
  details: boolean,
): Alert | null {
  if (!verdict.alert) return null
  const { conversation, exchange, exchangeId, at, level, likelihood, reasons, rule = null, sentence = null } = verdict
  return {
    id: nodeCrypto().randomUUID(),
    conversation,
    exchange,
    exchangeId,
    at,
    level,
    likelihood,
    reasons: wordlessReasons(verdict),
    policies: verdict.policies ?? [],
    signals: verdict.signals ?? null,
    strength: verdict.strength ?? null,
    caller,
    tenant,
    reply: onAlert,
    details: details ? { reasons, rule, sentence } : null,
  }
}

/** An alert that `gabion alert test` sends. */
export function testAlert(at: Date): Alert {
  return {
    id: nodeCrypto().randomUUID(),
    conversation: 'gabion-alert-test',
    exchange: 1,
    exchangeId: null,
    at: at.toISOString(),
    level: 'alert',
    likelihood: 1,
    reasons: ['a test of the delivery of alerts: nothing has happened'],
    policies: [],
    signals: null,
    strength: null,
    caller: null,
    tenant: null,
    reply: null,
    details: null,
  }
}
