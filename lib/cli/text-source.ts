// Owns the input of texts: arguments, a file with one text per line, JSON lines. Streams, so a file may be larger than memory.

import { GabionError } from '../errors.js'
import { readLines, sourceName } from '../files/lines.js'

/** Formats of an input file; `auto` detects it by the file's name and first line. */
export const TEXT_FORMATS = ['auto', 'text', 'jsonl'] as const
export type TextFormat = (typeof TEXT_FORMATS)[number]

/** A text with its end offset. */
export interface SourceText {
  text: string
  /** The second text of a pair, of a JSON line that has one. */
  pair?: string
  /** Bytes of its source up to its end; 0 without a file. */
  end: number
}

/**
 * The texts of a file (`-`: standard input). As `text`, every line is a text, an empty line the empty text, so text n is
 * line n. As `jsonl`, every line is an object with the string field `text`, and `pair` where it is one of a pair; blank lines are skipped, other fields ignored.
 * @throws GabionError INVALID_ARGUMENT with file, line and field
 */
export async function* readTexts(file: string, format: TextFormat, signal?: AbortSignal): AsyncGenerator<SourceText> {
  let asJson: boolean | null = format === 'auto' ? (/\.(jsonl|ndjson)$/i.test(file) ? true : null) : format === 'jsonl'
  for await (const line of readLines(file, signal)) {
    asJson ??= looksLikeJsonLine(line.text)
    if (!asJson) yield { text: line.text, end: line.end }
    else if (line.text.trim() !== '') {
      yield { ...fieldsOfJsonLine(line.text, `${sourceName(file)}: line ${String(line.number)}`), end: line.end }
    }
  }
}

function looksLikeJsonLine(line: string): boolean {
  if (!line.startsWith('{')) return false
  try {
    return typeof (JSON.parse(line) as { text?: unknown }).text === 'string'
  } catch {
    return false
  }
}

function fieldsOfJsonLine(line: string, where: string): Pick<SourceText, 'text' | 'pair'> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new GabionError('INVALID_ARGUMENT', `${where} is not JSON: ${(cause as Error).message}`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GabionError('INVALID_ARGUMENT', `${where} must be an object with the string field 'text'`)
  }
  const { text, pair } = value as { text?: unknown; pair?: unknown }
  if (typeof text !== 'string') {
    const problem =
      text === undefined
        ? `has no field 'text' (fields: ${Object.keys(value).join(', ') || 'none'})`
        : `has a field 'text' of type ${typeof text}`
    throw new GabionError('INVALID_ARGUMENT', `${where} ${problem}; expected {"text": "…"}`)
  }
  return typeof pair === 'string' ? { text, pair } : { text }
}

/** Groups texts into batches of at most `rows` texts and about `characters` characters. */
export async function* inBatches(
  texts: AsyncIterable<SourceText> | Iterable<SourceText>,
  rows: number,
  characters: number,
): AsyncGenerator<SourceText[]> {
  let batch: SourceText[] = []
  let size = 0
  for await (const item of texts) {
    batch.push(item)
    size += item.text.length
    if (batch.length >= rows || size >= characters) {
      yield batch
      batch = []
      size = 0
    }
  }
  if (batch.length > 0) yield batch
}
