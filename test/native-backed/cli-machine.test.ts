import assert from 'node:assert/strict'
import { appendFileSync, cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { KNOWN_MODELS } from '../../lib/models/index.js'
import { assertRefused, gabion, jsonLines, temporaryFolder } from './cli-process.js'

describe('gabion doctor', () => {
  test('finds everything in order, each check on a line', async () => {
    const { code, stdout, stderr } = await gabion(['doctor'])
    assert.equal(code, 0, stdout)
    assert.equal(stderr, '')
    for (const name of [
      'platform',
      'glibc',
      'processor',
      'threads',
      'addon',
      'runtime',
      'model',
      'checksums',
      'guard',
      'provider',
      'embedding',
      'cache',
    ]) {
      assert.match(stdout, new RegExp(`^(ok|warn) +${name} +\\S`, 'm'))
    }
  })

  test('--json has the same as objects', async () => {
    const lines = jsonLines((await gabion(['doctor', '--json'])).stdout)
    assert.ok(lines.length >= 11)
    for (const line of lines) {
      assert.deepEqual(Object.keys(line), ['name', 'status', 'detail', 'advice'])
      assert.notEqual(line.status, 'fail')
    }
  })

  test('a provider that is not here fails with advice and exit code 1', async () => {
    const { code, stdout } = await gabion(['doctor', '--json', '--provider', 'cuda', '--model', 'all-MiniLM-L6-v2'])
    const provider = jsonLines(stdout).find((line) => line.name === 'provider')
    if (provider?.status === 'ok') return
    assert.equal(code, 1)
    assert.match(String(provider?.detail), /PROVIDER_UNAVAILABLE/)
    assert.match(String(provider?.advice), /--provider cpu/)
  })

  test('a damaged model is found', async () => {
    const folder = join(temporaryFolder(), 'copy')
    cpSync('models/all-MiniLM-L6-v2', folder, { recursive: true })
    appendFileSync(join(folder, 'README.md'), 'changed\n')
    const { code, stdout } = await gabion(['doctor', '--json', '--model', folder])
    const checksums = jsonLines(stdout).find((line) => line.name === 'checksums')
    assert.equal(code, 1)
    assert.equal(checksums?.status, 'fail')
    assert.match(String(checksums.detail), /CHECKSUM_MISMATCH: .*README\.md differs/)
  })
})

describe('gabion model', () => {
  test('list names every known model', async () => {
    // What this user keeps is listed too: here, nothing.
    const env = { GABION_CACHE: temporaryFolder(), HF_HOME: temporaryFolder() }
    const [plain, json] = await Promise.all([gabion(['model', 'list'], { env }), gabion(['model', 'list', '--json'], { env })])
    for (const { name } of KNOWN_MODELS) assert.match(plain.stdout, new RegExp(`^${name} `, 'm'))
    const lines = jsonLines(json.stdout)
    assert.deepEqual(
      lines.map((line) => line.name),
      KNOWN_MODELS.map((model) => model.name),
    )
    assert.equal(json.stderr, '')
  })

  test('verify is content with the bundled model and names what was changed in another', async () => {
    assert.equal((await gabion(['model', 'verify'])).code, 0)
    const folder = join(temporaryFolder(), 'copy')
    cpSync('models/all-MiniLM-L6-v2', folder, { recursive: true })
    appendFileSync(join(folder, 'modules.json'), ' ')
    const { code, stdout, stderr } = await gabion(['model', 'verify', folder, '--json'])
    assert.equal(code, 2)
    assert.equal(jsonLines(stdout)[0]?.ok, false)
    assert.match(stderr, /^error: CHECKSUM_MISMATCH: .*modules\.json differs from SHA-256/)
  })

  test('licenses shows the notices, and whole texts when asked', async () => {
    const [short, full, json] = await Promise.all([
      gabion(['model', 'licenses']),
      gabion(['model', 'licenses', 'all-MiniLM-L6-v2', '--full']),
      gabion(['model', 'licenses', '--json']),
    ])
    assert.match(short.stdout, /ONNX Runtime/)
    assert.match(short.stdout, /all-MiniLM-L6-v2\nlicense: Apache-2\.0/)
    assert.match(full.stdout, /TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION/)
    assert.deepEqual(
      jsonLines(json.stdout).map((line) => line.license),
      ['Apache-2.0'],
    )
  })

  test('convert refuses a folder without a checkpoint and leaves nothing behind', async () => {
    const place = temporaryFolder()
    assertRefused(
      await gabion(['model', 'convert', 'models/all-MiniLM-L6-v2', '--out', join(place, 'new')]),
      2,
      /MODEL_NOT_FOUND: .*no model\.safetensors/,
    )
    assertRefused(
      await gabion(['model', 'convert', place, '--precision', 'fp64']),
      2,
      /Expected a comma-separated list of fp32, bf16, int8/,
    )
    assert.deepEqual(readdirSync(place), [])
  })
})

describe('gabion bench', () => {
  test('measures what it was asked for', async () => {
    const { code, stdout, stderr } = await gabion(['bench', '--json', '--tokens', '8,16', '--runs', '3', '--batch', '4'])
    assert.equal(code, 0, stderr)
    const [environment, ...rest] = jsonLines(stdout)
    assert.equal((environment?.environment as { model: string }).model, 'all-MiniLM-L6-v2')
    assert.deepEqual(
      rest.slice(0, -1).map((line) => [line.tokens, line.mode, line.runs]),
      [
        [8, 'sync', 3],
        [8, 'async', 3],
        [16, 'sync', 3],
        [16, 'async', 3],
      ],
    )
    assert.equal((rest.at(-1)?.throughput as { texts: number; tokens: number }).tokens, 48)
  })

  test('refuses counts that no text has', async () => {
    assertRefused(await gabion(['bench', '--tokens', '8,999']), 2, /--tokens must be at most 256 for all-MiniLM-L6-v2, got 999/)
    assertRefused(await gabion(['bench', '--tokens', '1']), 2, /--tokens 1: no sample text/)
  })
})
