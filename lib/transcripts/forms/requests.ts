// Owns the forms that record requests to a model with their replies: logs of gateways, traces of observability services.

import { conversationOf, nameOf } from '../conversation-name.js'
import { timeOf } from '../order.js'
import { firstField, isEntry, present, transcriptInvalid, type Entry } from '../problem.js'
import type { Form, ReadContext, RequestPiece } from './form.js'
import { listOf, readSystem } from './lists.js'
import { historyOf, replyOf } from './request-parts.js'
import { structured } from './structured.js'

const REQUEST_FIELDS = ['request', 'request_body', 'requestBody', 'body', 'inputs', 'input', 'prompt'] as const
const REPLY_FIELDS = ['response', 'response_body', 'responseBody', 'outputs', 'output', 'choices', 'candidates', 'completion'] as const
const TRACE_FIELDS = ['trace_id', 'traceId'] as const
/** Where traces have the names that their makers gave them. */
const METADATA_FIELDS = ['metadata', 'extra', 'properties', 'request_properties', 'customProperties'] as const
const HELICONE_SESSION = 'Helicone-Session-Id'

/** A request's record, read from where its form has request, reply and session. */
function readRequest(record: Entry, request: unknown, reply: unknown, conversation: string | null, context: ReadContext): RequestPiece[] {
  // The prompt of a request may be next to it, as a response's instructions are.
  const history = [...(request === record ? [] : readSystem(record, context.where)), ...historyOf(request, context)]
  const trace = firstField(record, TRACE_FIELDS)
  return [
    {
      kind: 'request',
      conversation,
      history,
      reply: replyOf(reply, history, context),
      id: nameOf(record.id) ?? nameOf(record.request_id) ?? nameOf(record.custom_id),
      previous: nameOf(record.previous_response_id),
      trace: trace === undefined ? null : nameOf(record[trace]),
      time: timeOf(record),
    },
  ]
}

/** The session that the metadata of a trace name. */
function sessionOf(record: Entry, field: string | null): string | null {
  for (const name of METADATA_FIELDS) {
    const value = structured(record[name])
    if (!isEntry(value)) continue
    const found = nameOf(value[HELICONE_SESSION] ?? value[HELICONE_SESSION.toLowerCase()]) ?? conversationOf(value, field)
    if (found !== null) return found
    const inner = structured(value.metadata)
    if (isEntry(inner)) return conversationOf(inner, field)
  }
  return null
}

function asEntry(record: unknown, { where }: ReadContext): Entry {
  if (!isEntry(record)) throw transcriptInvalid(where, 'a record of a request must be an object')
  return record
}

/** A record with the request in one field and the reply in another, or with the reply next to the request's messages. */
function readPair(record: unknown, context: ReadContext): RequestPiece[] {
  const entry = asEntry(record, context)
  const request = firstField(entry, REQUEST_FIELDS)
  const reply = firstField(entry, REPLY_FIELDS)
  const wrapped = request !== undefined && listOf(entry) === undefined
  const conversation = conversationOf(entry, context.conversationField) ?? sessionOf(entry, context.conversationField)
  return readRequest(
    entry,
    wrapped ? entry[request] : entry,
    reply === undefined ? undefined : repliesIn(entry, reply),
    conversation,
    context,
  )
}

/** Choices and candidates are read as parts of a response. */
function repliesIn(entry: Entry, field: (typeof REPLY_FIELDS)[number]): unknown {
  return field === 'choices' || field === 'candidates' ? { [field]: entry[field] } : entry[field]
}

/** Its `session_id` is that of the project; the thread is named in the metadata. */
function readLangSmith(record: unknown, context: ReadContext): RequestPiece[] {
  const entry = asEntry(record, context)
  const { conversationField } = context
  const conversation =
    conversationField === null ? sessionOf(entry, null) : (conversationOf(entry, conversationField) ?? sessionOf(entry, conversationField))
  return readRequest(entry, entry.inputs, entry.outputs, conversation, context)
}

function isResponses(record: unknown): boolean {
  if (!isEntry(record)) return false
  const { input, output, object } = record
  if (object === 'response' || 'previous_response_id' in record) return true
  const items = [input, output].flatMap((list) => (Array.isArray(list) ? list.filter(isEntry) : []))
  return items.some(isResponseItem) || (Array.isArray(input) && items.some((item) => 'role' in item) && !('output' in record))
}

function isResponseItem({ type, content }: Entry): boolean {
  if (type === 'message' || type === 'function_call' || type === 'function_call_output') return true
  return Array.isArray(content) && content.some((part) => isEntry(part) && (part.type === 'input_text' || part.type === 'output_text'))
}

function isLangSmith(record: unknown): boolean {
  return isEntry(record) && isEntry(structured(record.inputs)) && 'outputs' in record
}

const LANGFUSE_FIELDS = [
  'traceId',
  'trace_id',
  'traceid',
  'sessionId',
  'session_id',
  'sessionid',
  'observations',
  'projectId',
  'userId',
] as const

function isLangfuse(record: unknown): boolean {
  if (!isEntry(record) || !('input' in record) || !('output' in record)) return false
  const isStructured = [record.input, record.output].some((value) => typeof structured(value) === 'object' && present(value))
  return isStructured || LANGFUSE_FIELDS.some((field) => field in record)
}

function isPair(record: unknown): boolean {
  if (!isEntry(record)) return false
  const reply = firstField(record, REPLY_FIELDS)
  if (reply === undefined) return false
  if (listOf(record) !== undefined) return true
  const request = firstField(record, REQUEST_FIELDS)
  return request !== undefined && (isObject(record[request]) || isObject(record[reply]))
}

function isObject(value: unknown): boolean {
  const found = structured(value)
  return typeof found === 'object' && found !== null
}

/** Records of requests, the more special ones first. */
export const REQUEST_FORMS: readonly Form[] = [
  {
    name: 'langsmith',
    title: 'LangSmith: exported runs',
    example:
      '{"id":"r1","run_type":"llm","trace_id":"t1","inputs":{"messages":[{"type":"human","content":"Are you open?"}]},"outputs":{"generations":[[{"text":"From nine."}]]},"extra":{"metadata":{"thread_id":"c1"}}}',
    matches: isLangSmith,
    read: readLangSmith,
  },
  {
    name: 'responses',
    title: 'OpenAI Responses: input, output or both',
    example:
      '{"id":"resp_1","input":"Are you open?","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"From nine."}]}]}',
    matches: isResponses,
    read: readPair,
  },
  {
    name: 'langfuse',
    title: 'Langfuse: exported traces or observations',
    example:
      '{"id":"t1","sessionId":"c1","input":{"messages":[{"role":"user","content":"Are you open?"}]},"output":{"role":"assistant","content":"From nine."}}',
    matches: isLangfuse,
    read: readPair,
  },
  {
    name: 'requests',
    title: 'Helicone, LiteLLM, Azure and other logs: requests with their responses',
    example:
      '{"request_id":"r1","properties":{"Helicone-Session-Id":"c1"},"request":{"messages":[{"role":"user","content":"Are you open?"}]},"response":{"choices":[{"message":{"role":"assistant","content":"From nine."}}]}}',
    matches: isPair,
    read: readPair,
  },
]
