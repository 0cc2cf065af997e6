// The interface of chat protocols: what the proxy reads of requests and responses, and writes in place of blocked replies.

import type { ChatMessage } from '../../../monitor/chat.js'
import type { Reply } from '../../../monitor/reply.js'
import type { StreamParts } from './stream-parts.js'

/** The readable content of a request. */
export interface ReadRequest {
  /** Null for messages that could not be read. */
  readonly messages: readonly ChatMessage[] | null
  /** Requests a streamed response. */
  readonly stream: boolean
  readonly model: string | undefined
  /** The response whose chat the request continues, of a chat that the upstream stores. */
  readonly continues?: string | undefined
  /** The conversation at the upstream that the request belongs to. */
  readonly conversation?: string | undefined
}

/** The readable content of a response. */
export interface ReadCompletion {
  /** Each choice. */
  readonly replies: readonly Reply[]
  /** False if a part that a client may show could not be read. */
  readonly readable: boolean
  readonly info: CompletionInfo
}

/** Metadata of a response, as far as known. */
export interface CompletionInfo {
  readonly id?: string | undefined
  readonly model?: string | undefined
  /** What a later request names to continue after this response. */
  readonly continuesAs?: string | undefined
}

/** A response without readable content. */
export const UNREADABLE: ReadCompletion = { replies: [], readable: false, info: {} }

/** Collects the reply of one response. */
export interface ReplyReader {
  /** Takes a complete response; undefined for malformed JSON. */
  whole(response: unknown): void
  /** Takes a part of a stream; undefined for malformed JSON. */
  part(data: unknown): void
  read(): ReadCompletion
}

/** One chat API. */
export interface ChatProtocol {
  /** Streams are server-sent events, or lines of JSON. */
  readonly framing: 'events' | 'lines'
  readRequest(body: unknown): ReadRequest
  reader(): ReplyReader
  /** For a stream that may be cut. */
  stream(): StreamParts
  /** A complete response with the replacement message; `response` is the upstream's, undefined if it could not be read. */
  replacement(info: CompletionInfo, message: string, response: unknown): object
  /** A stream with the replacement message. */
  replacementStream(info: CompletionInfo, message: string): string
  /** A stream's last part for a failure after its beginning; `number` is its own, of an API that numbers parts. */
  failure(code: string, message: string, number?: number): string
}

/** An object's fields; none for anything else. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** A list, or none for anything else. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Parses JSON; undefined for malformed text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Those of a response's fields that cannot repeat its text. */
export function copied(response: unknown, names: readonly string[]): Record<string, unknown> {
  const fields = fieldsOf(response)
  return Object.fromEntries(names.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])))
}

/** A server-sent event. */
export function eventOf(data: object, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`
}

/** Seconds since 1970. */
export function now(): number {
  return Math.floor(Date.now() / 1000)
}
