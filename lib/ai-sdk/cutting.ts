// Reads a streamed reply while its parts pass, and ends the stream where the reply crosses the alert line.

import { randomUUID } from 'node:crypto'
import type { LanguageModelV3StreamPart, LanguageModelV3Usage } from '@ai-sdk/provider'
import type { ReplyReading } from '../detection/reply-reading.js'
import type { ExchangeVerdict } from '../detection/verdict.js'
import { gated, NOTHING_PASSED, type GatedEnd, type Gating } from '../monitor/stream/gated-stream.js'
import { GATE_LIMITS, PieceGroup, ReplyGate } from '../monitor/stream/reply-gate.js'
import { NO_REPLY, textOfCall } from '../monitor/reply.js'
import { withPart, withVerdict, type Judge } from './middleware.js'

type Part = LanguageModelV3StreamPart

// The model was stopped before it counted.
const UNKNOWN_USAGE: LanguageModelV3Usage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
}

/** The parts that pass; the last one carries the verdict. */
export async function* cutting(
  stream: AsyncIterable<Part>,
  { begin, judge, replacement }: { readonly begin: () => Promise<ReplyReading>; readonly judge: Judge; readonly replacement: string },
): AsyncGenerator<Part> {
  let came = NO_REPLY
  let passed = NO_REPLY
  let calls: PieceGroup | null = null
  let end: GatedEnd = NOTHING_PASSED
  /** The text that the client has a part of. */
  let open: string | null = null
  let isJudged = false
  const gating: Gating<Part> = {
    gate: (pass, changed) => new ReplyGate(begin, GATE_LIMITS, pass, changed),
    add(gate, part) {
      const text = part.type === 'text-delta' ? part.delta : ''
      came = withPart(came, part)
      if (part.type === 'tool-input-start' || part.type === 'tool-call') calls ??= new PieceGroup()
      gate.add(part, text === '' ? [] : [{ reply: '', text }], calls)
      // The call itself is what is executed; its input came before in parts.
      if (part.type === 'tool-call' && calls !== null) {
        gate.close(calls, [{ reply: 'calls', text: `${textOfCall(part.toolName, part.input)}\n` }])
        calls = null
      }
    },
    sizeOf: (part) => (part.type === 'text-delta' || part.type === 'tool-input-delta' ? part.delta.length : 1),
  }
  try {
    for await (const part of gated(stream, gating, (reached) => (end = reached))) {
      if (part.type === 'text-start') open = part.id
      if (part.type === 'text-end') open = null
      passed = withPart(passed, part)
      if (part.type !== 'finish') {
        yield part
        continue
      }
      isJudged = true
      const verdict = await judge(passed)
      if (verdict?.alert === true) yield* filtered({ open, passed: passed.words, replacement, usage: part.usage }, verdict)
      else yield withVerdict(part, verdict)
    }
    if (end.stop === null) return
    isJudged = true
    yield* filtered({ open, passed: passed.words, replacement, usage: UNKNOWN_USAGE }, await judge(came))
  } finally {
    // The client left, or the model failed: what passed is judged all the same.
    if (!isJudged) void judge(passed)
  }
}

/** The end of a stream that is filtered, after what has passed; `open` is the text that the client has a part of. */
function* filtered(
  {
    open,
    passed,
    replacement,
    usage,
  }: { readonly open: string | null; readonly passed: string; readonly replacement: string; readonly usage: LanguageModelV3Usage },
  verdict: ExchangeVerdict | null,
): Generator<Part> {
  const id = open ?? randomUUID()
  if (open === null) yield { type: 'text-start', id }
  yield { type: 'text-delta', id, delta: passed === '' ? replacement : `\n\n${replacement}` }
  yield { type: 'text-end', id }
  yield withVerdict({ type: 'finish', usage, finishReason: { unified: 'content-filter', raw: 'gabion' } }, verdict)
}
