// The programs of examples/, run as their readers run them: by plain Node, importing `gabion` by its name.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const folder = fileURLToPath(new URL('../../examples', import.meta.url))
const MAX_LINES = 60

/** What each program must print. */
const expected: Readonly<Record<string, RegExp>> = {
  'ai-sdk.js': /^tea and tea 0\.\d\d, tea and train .*21 tokens\nticket 4711, exchange 1: calm\nI can help .*\nlikelihood 0\.\d\d$/,
  'calibrate.js': /^lines from 84 conversations\nshipped +alert from 0\.\d\d, .*\nours +alert from .*\n[01] of 84 reach an alert line/,
  'guard-stream.js': /^We open at nine and close at five\.\nfinished, level calm$/,
  'migrate.js':
    /^fitted on 640 pairs; mean cosine (1\.000|0\.99\d) on 128 held back\n.*\n +0\.[6-9]\d\d +A blocked card is replaced for free\.\n/,
  'monitor-chat.js': /^ 1 +calm .*\n(.*\n)+ [56] +alert .*\n +ALERT: .+\nsaved in \d+ bytes and restored after exchange [56]$/,
  'pca-plot.js': /^┌─+┐\n(│[ cwm]{64}│\n){18}└─+┘\nc coffee, w weather, m music; the two axes carry \d+ % and \d+ % of the variance$/,
  'search.js': /^How do I get my money back\?\n +0\.\d+ +Refunds are paid back/,
  'serve-and-call.js': /^serving with an API key\n2 vectors of 384 dimensions, 14 tokens\nexchange 1: calm, likelihood 0\.\d\d\nstopped$/,
}

/** A chat service that streams a reply word by word. */
const service = createServer((request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const content of 'We open at nine and close at five.'.split(/(?= )/)) {
    const choices = [{ index: 0, delta: { content }, finish_reason: null }]
    response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'any', choices })}\n\n`)
  }
  response.end('data: [DONE]\n\n')
})

describe('examples', () => {
  before(async () => {
    service.listen(0, '127.0.0.1')
    await once(service, 'listening')
  })
  after(() => service.close())
  const programs = readdirSync(folder).filter((name) => name.endsWith('.js'))

  test('are those that their README lists', () => {
    assert.deepEqual(programs.toSorted(), Object.keys(expected))
    const readme = readFileSync(join(folder, 'README.md'), 'utf8')
    for (const name of programs) assert.ok(readme.includes(`[${name}](${name})`), `README.md does not list ${name}`)
  })

  for (const name of programs) {
    test(`${name} is short, runs and prints what it says`, async () => {
      const lines = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n').length
      assert.ok(lines < MAX_LINES, `${name} has ${String(lines)} lines`)
      const { NODE_OPTIONS: _options, ...inherited } = process.env
      const env = { ...inherited, OPENAI_BASE_URL: `http://127.0.0.1:${String((service.address() as AddressInfo).port)}/v1` }
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, name)], { cwd: '/', env })
      assert.match(stdout.trimEnd(), expected[name]!)
      assert.equal(stderr, '')
    })
  }
})
