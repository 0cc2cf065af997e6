// Reads the content of messages: text, or a list of parts. Reports parts that it cannot read, so that nothing counts as judged that was not.

import type { ChatMessage } from '../../../monitor/chat.js'
import { fieldsOf } from './protocol.js'

/** Kinds of parts that are not judged: thoughts, calls of tools and their results. */
const SILENT_PARTS = new Set([
  'thinking',
  'redacted_thinking',
  'reasoning',
  'tool_use',
  'tool_result',
  'server_tool_use',
  'web_search_tool_result',
  'code_execution_tool_result',
  'mcp_tool_use',
  'mcp_tool_result',
])

/** The text of a message's content; null for an unknown format. `whole` is false for a list with parts of unknown kinds. */
export function readContent(content: unknown, separator: '' | '\n'): { text: string; whole: boolean } | null {
  if (typeof content === 'string') return { text: content, whole: true }
  if (!Array.isArray(content)) return null
  const parts = (content as unknown[]).map(textOfPart)
  return { text: parts.filter((part) => typeof part === 'string').join(separator), whole: !parts.includes(null) }
}

/** The text of a part; undefined for parts that are not judged, and null for unknown kinds. */
export function textOfPart(part: unknown): string | undefined | null {
  if (typeof part === 'string') return part
  const { type, text, refusal } = fieldsOf(part)
  if (typeof type === 'string' && SILENT_PARTS.has(type)) return undefined
  if (typeof text === 'string') return text
  if (typeof refusal === 'string') return refusal
  return null
}

/** The messages of a list with `role` and `content`; null if it is no list. Results of tools are no messages of the user. */
export function messagesOf(list: unknown): ChatMessage[] | null {
  if (!Array.isArray(list)) return null
  return list.flatMap((message: unknown) => {
    const { role, content } = fieldsOf(message)
    if (typeof role !== 'string' || isToolResult(content)) return []
    return [{ role, text: readContent(content, '\n')?.text ?? '' }]
  })
}

function isToolResult(content: unknown): boolean {
  return Array.isArray(content) && content.length > 0 && content.every((part) => fieldsOf(part).type === 'tool_result')
}
