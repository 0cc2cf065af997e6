// Owns a message's content in the forms of all providers: which of it the other side reads, and what is only context.

import { isEntry, shown, transcriptInvalid, type Entry } from './problem.js'

/** What is in a message's content. */
export interface Content {
  /** What the other side reads; empty without any. */
  readonly words: string
  /** Calls and results of tools, as text. */
  readonly context: readonly string[]
}

/** Parts of calls and results of tools, by `type` or by their only field. */
const TOOL_TYPE = /^(tool[-_]|dynamic-tool|function[-_]|server_tool|mcp_tool|web_search_tool|code_execution_tool)/
const TOOL_FIELDS = ['toolUse', 'toolResult', 'functionCall', 'functionResponse', 'function_call', 'function_response'] as const
/** A model's thoughts are not said to anybody. */
const THOUGHT_TYPE = /^(thinking|redacted_thinking|reasoning|thoughts?)/

/**
 * Reads content: a string, a part, or parts of any provider. Images, files and a model's thoughts have no words.
 *
 * @throws GabionError `TRANSCRIPT_INVALID` with `where` and the field
 */
export function readContent(value: unknown, field: string, where: string): Content {
  const words: string[] = []
  const context: string[] = []
  const isPart = isEntry(value) && ['parts', 'text', 'content', 'content_type', 'type'].some((name) => name in value)
  if (typeof value !== 'string' && !Array.isArray(value) && !isPart) {
    throw transcriptInvalid(where, `field '${field}' must be a string or a list of parts, got ${shown(value)}`)
  }
  for (const part of Array.isArray(value) ? (value as unknown[]) : [value]) {
    if (typeof part !== 'string' && part !== null && !isEntry(part)) {
      throw transcriptInvalid(where, `field '${field}' has a part that is neither text nor an object, got ${shown(part)}`)
    }
    readPart(part, words, context, 0)
  }
  return { words: words.filter((text) => text !== '').join('\n'), context }
}

/** No provider nests parts deeper. */
const MAX_DEPTH = 8

function readPart(part: string | Entry | null, words: string[], context: string[], depth: number): void {
  if (typeof part === 'string') words.push(part)
  if (!isEntry(part)) return
  const type = typeof part.type === 'string' ? part.type : ''
  if (part.thought === true || THOUGHT_TYPE.test(type)) return
  if (TOOL_TYPE.test(type) || TOOL_FIELDS.some((field) => isEntry(part[field]))) {
    context.push(jsonText(part))
    return
  }
  for (const text of [part.text, part.refusal, part.transcript]) {
    if (typeof text === 'string') words.push(text)
    // The Assistants API has { text: { value } }.
    else if (isEntry(text) && typeof text.value === 'string') words.push(text.value)
  }
  const inner: unknown = part.parts ?? part.content
  if (depth === MAX_DEPTH) return
  for (const one of Array.isArray(inner) ? (inner as unknown[]) : [inner]) {
    if (typeof one === 'string' || isEntry(one)) readPart(one, words, context, depth + 1)
  }
}

/** A value as JSON; empty where it is nested too deeply for the stack. */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return ''
  }
}
