// Owns a verdict as a row of CSV (RFC 4180). The schema defines the columns.

import { VERDICT_COLUMNS, verdictRow, type ExchangeVerdict, type VerdictValue } from '../detection/verdict.js'

/** Header line. */
export const CSV_HEADER = VERDICT_COLUMNS.join(',')

/** A verdict as one line: lists joined by "; ", absent values empty. */
export function toCsv(verdict: ExchangeVerdict): string {
  return verdictRow(verdict).map(csvCell).join(',')
}

function csvCell(value: VerdictValue): string {
  const text = value === null || value === undefined ? '' : Array.isArray(value) ? value.join('; ') : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
