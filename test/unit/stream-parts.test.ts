// What the parts of streams that may be cut say: words, calls of tools, and whether the reply is over.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { chatCompletions, textCompletions } from '../../lib/server/proxy/protocols/chat-completions.js'
import { anthropicMessages } from '../../lib/server/proxy/protocols/messages.js'
import { ollamaChat } from '../../lib/server/proxy/protocols/ollama.js'
import type { ChatProtocol } from '../../lib/server/proxy/protocols/protocol.js'
import { openaiResponses } from '../../lib/server/proxy/protocols/responses.js'

/** Per part: its words, whether it belongs to a call, the calls that are complete with it, and whether the reply is over. */
function read(protocol: ChatProtocol, parts: readonly unknown[]): unknown[] {
  const stream = protocol.stream()
  return parts.map((part) => {
    const { words, isCall, calls } = stream.read(part)
    return [words.map(({ text }) => text).join(' '), isCall, calls, stream.isOver]
  })
}

/** What complete calls say. */
const said = (text: string): object[] => [{ reply: '', text }]

const choice = (delta: object, finish: string | null = null, index = 0): object => ({ choices: [{ index, delta, finish_reason: finish }] })

describe('The parts of a stream', () => {
  test("of Anthropic's messages: calls are complete when the last open one ends", () => {
    const start = (index: number, block: object): object => ({ type: 'content_block_start', index, content_block: block })
    const json = (index: number, text: string): object => ({
      type: 'content_block_delta',
      index,
      delta: { type: 'input_json_delta', partial_json: text },
    })
    const parts = [
      { type: 'message_start', message: {} },
      start(0, { type: 'text', text: '' }),
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } },
      { type: 'content_block_stop', index: 0 },
      start(1, { type: 'tool_use', name: 'first', input: {} }),
      json(1, '{"a":'),
      start(2, { type: 'server_tool_use', name: 'second', input: { b: 2 } }),
      json(1, '1}'),
      { type: 'content_block_stop', index: 1 },
      { type: 'content_block_stop', index: 2 },
      { type: 'message_delta', delta: { stop_reason: null } },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
      { type: 'message_stop' },
    ]
    const open = ['', true, null, false]
    assert.deepEqual(read(anthropicMessages, parts), [
      ['', false, null, false],
      ['', false, null, false],
      ['Hello', false, null, false],
      ['', false, null, false],
      ...[open, open, open, open, open],
      ['', true, said('first({"a":1})\nsecond({"b":2})'), false],
      ['', false, null, false],
      ['', false, null, true],
      ['', false, null, true],
    ])
  })

  test('of responses: calls are complete when the last open item is done', () => {
    const item = (type: string, index: number, fields: object): object => ({ type, output_index: index, item: fields })
    const parts = [
      { type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: 'Hello' },
      item('response.output_item.added', 1, { type: 'function_call', name: 'first' }),
      { type: 'response.function_call_arguments.delta', output_index: 1, delta: '{"a"' },
      item('response.output_item.added', 2, { type: 'custom_tool_call', name: 'second' }),
      item('response.output_item.done', 2, { type: 'custom_tool_call', input: 'b' }),
      item('response.output_item.done', 1, { type: 'function_call', arguments: '{"a":1}' }),
      { type: 'response.incomplete', response: {} },
    ]
    assert.deepEqual(read(openaiResponses, parts), [
      ['Hello', false, null, false],
      ...Array.from({ length: 4 }, () => ['', true, null, false]),
      ['', true, said('first({"a":1})\nsecond(b)'), false],
      ['', false, null, true],
    ])
  })

  test('of chat completions: over with the last choice that came', () => {
    const parts = [
      choice({ role: 'assistant' }),
      choice({ content: 'a' }, 'stop'),
      choice({ content: 'b' }, null, 1),
      choice({}, 'length', 1),
      { choices: [], usage: {} },
    ]
    assert.deepEqual(
      read(chatCompletions, parts).map((part) => (part as unknown[])[3]),
      [false, true, false, true, true],
    )
    assert.deepEqual(read(textCompletions, [{ choices: [{ index: 0, text: 'a', finish_reason: 'stop' }] }]), [['a', false, null, true]])
  })

  test("of Ollama's lines: over with the line that says so", () => {
    const parts = [
      { message: { content: 'a' }, done: false },
      { message: { content: '', tool_calls: [{ function: { name: 'first', arguments: { a: 1 } } }] }, done: false },
      { message: { content: 'b' }, done: true },
    ]
    assert.deepEqual(read(ollamaChat, parts), [
      ['a', false, null, false],
      ['', true, said('first({"a":1})'), false],
      ['b', false, null, true],
    ])
  })
})
