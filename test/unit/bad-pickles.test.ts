// More than 200 malicious or broken files: each ends in a coded error within bounds of time and memory, and none runs anything.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { importProjection } from '../../lib/projection/import.js'
import { badPickles, type BadFile } from '../fixtures/bad-pickles.js'

const child = fileURLToPath(new URL('../fixtures/import-child.ts', import.meta.url))

interface Outcome {
  name: string
  code: string
  message: string
  milliseconds: number
  bytes: number
}

/** A PCA of 2 × 2 in protocol 0, by hand. */
const WHOLE = Buffer.from(
  'csklearn.decomposition._pca\nPCA\n)\x81}(Vcomponents_\n' +
    'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I2\nI2\nt' +
    'cnumpy\ndtype\n(Vf8\nI00\nI01\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntbI00\n' +
    'C\x20\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40tbVwhiten\nI00\nub.',
  'latin1',
)

describe('bad files', () => {
  let folder = ''
  let mark = ''
  let files: BadFile[] = []
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-bad-'))
    mark = join(folder, 'mark')
    files = badPickles(mark, WHOLE)
    await writeFile(join(folder, 'whole.pkl'), WHOLE)
    await Promise.all(files.map(({ bytes }, index) => writeFile(join(folder, `${String(index).padStart(3, '0')}.bad`), bytes)))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('the good one, which others are damaged from, is read', async () => {
    const projection = await importProjection(join(folder, 'whole.pkl'))
    assert.deepEqual(Array.from(projection.apply(Float64Array.of(3, 4))), [3, 8])
  })

  test('end in a coded error, soon, in little memory, and run nothing', () => {
    assert.ok(files.length >= 200, String(files.length))
    const { stdout, status, stderr } = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', child, folder], {
      encoding: 'utf8',
      timeout: 120_000,
      maxBuffer: 1 << 26,
    })
    assert.equal(status, 0, stderr)
    const outcomes = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Outcome)
    assert.equal(outcomes.length, files.length)
    for (const { name, code, message, milliseconds, bytes } of outcomes) {
      const what = `${files[Number(name.slice(0, 3))]?.name ?? ''}: ${code} ${message}`
      assert.equal(code, 'ARTIFACT_INVALID', what)
      assert.ok(message.startsWith(join(folder, name)) || message.includes(name), what)
      // Bounds of the promise, far from what any of them takes: a bomb that is not noticed goes beyond both at once.
      assert.ok(milliseconds < 1000, `${what}: ${String(milliseconds)} ms`)
      assert.ok(bytes < 200 * 1024 * 1024, `${what}: ${String(bytes)} bytes`)
    }
    assert.ok(!existsSync(mark))
  })

  test('that name something are refused by that name', async () => {
    const named = files.findIndex(({ name }) => name === 'STACK_GLOBAL subprocess.Popen')
    await assert.rejects(importProjection(join(folder, `${String(named).padStart(3, '0')}.bad`)), /"subprocess\.Popen", which is refused/)
  })
})
