// Schemathesis over the OpenAPI document: no server error, and every answer is as the document says.
// GABION_SCHEMATHESIS_EXAMPLES says how many requests an operation (the long form: npm run fuzz:service).

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { Projection } from '../../lib/index.js'
import type { RunningService } from '../../lib/server/serve.js'
import { runPython } from './python-tools.js'
import { startService, testEmbedder } from './service-under-test.js'

const EXAMPLES = process.env.GABION_SCHEMATHESIS_EXAMPLES ?? '12'

let running: RunningService
before(async () => {
  const batch = await (await testEmbedder()).embedBatch(['one thing', 'another thing', 'quite a different matter'])
  const projection = Projection.fitPca(batch, { components: 2 })
  running = await startService({ grpcPort: null, projection, limits: { textLength: 4096, texts: 16 } })
})
after(() => running.stop())

it('Schemathesis finds nothing', async () => {
  const checks =
    'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance'
  const options = [
    '--checks',
    checks,
    '--max-examples',
    EXAMPLES,
    '--seed',
    '1',
    '--workers',
    '2',
    '--no-color',
    '--suppress-health-check',
    'all',
  ]
  // Not its phase 'coverage': on some releases of Python 3.11 that ends in a fault of the interpreter (ast.parse near the recursion limit).
  // Streams of events never end, so they cannot be asked for here.
  const all = [
    '-m',
    'schemathesis.cli',
    'run',
    `${running.url}/openapi.json`,
    ...options,
    '--phases',
    'examples,fuzzing,stateful',
    '--exclude-path-regex',
    'events$',
  ]
  // It keeps a cache where it runs.
  const output = await runPython(all, join(process.cwd(), 'build')).catch((error: unknown) =>
    assert.fail(String((error as { stdout?: string }).stdout ?? error).slice(-6000)),
  )
  assert.match(output, /(\d+) generated, \1 passed/)
  assert.doesNotMatch(output, /Errors:|Failures:/)
})
