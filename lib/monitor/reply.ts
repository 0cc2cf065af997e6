// Owns what is judged of a reply: its words, and apart from them its calls of tools, as text. Knows no provider's messages.

/** A reply to a message. */
export interface Reply {
  /** What the user sees; empty for a reply of calls alone. */
  readonly words: string
  /** The calls of tools, one a line as {@link textOfCall} has them; empty without any. */
  readonly calls: string
}

/** Before its first part. */
export const NO_REPLY: Reply = { words: '', calls: '' }

/** A call as text: `refund({"amount":900})`. Arguments may be JSON, or an incomplete part of it. */
export function textOfCall(name: string, args: unknown): string {
  return `${name}(${typeof args === 'string' ? compact(args) : JSON.stringify(args ?? {})})`
}

/** JSON as others write it, too, so that a call has the same text however it came. */
function compact(json: string): string {
  if (json.trim() === '') return '{}'
  try {
    return JSON.stringify(JSON.parse(json))
  } catch {
    return json
  }
}
