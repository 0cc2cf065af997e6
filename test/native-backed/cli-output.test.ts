// Everything a command wrote reaches its reader, however slow it is and however the process ends; a reader that left is not waited for.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { encodeNpy } from '../../lib/files/npy.js'
import { Projection } from '../../lib/projection/projection.js'
import { until } from '../service/ending.js'
import { gabion, temporaryFolder } from './cli-process.js'
import { startPiped, startPlain, type Piped } from './piped-process.js'

const folder = temporaryFolder()
const place = (name: string): string => join(folder, name)

/** A log of conversations; each ends with a message that has no reply, which is a note on stderr. */
function log(conversations: number, exchanges: number): string {
  const messages = Array.from({ length: exchanges }, (_, exchange) => [
    { role: 'user', text: `Where is parcel ${exchange}?` },
    { role: 'assistant', text: 'It comes tomorrow.' },
  ]).flat()
  const named = (index: number): string =>
    JSON.stringify({ id: `parcels-${index}-${'x'.repeat(230)}`, turns: [...messages, { role: 'user', text: 'Thank you!' }] })
  return Array.from({ length: conversations }, (_, index) => `${named(index)}\n`).join('')
}

/** A conversation as it is written while it goes on. */
function followed(exchanges: number): string {
  const line = (speaker: string, message: string): string => `${JSON.stringify({ conversation: 'live', speaker, message })}\n`
  return Array.from({ length: exchanges }, (_, index) => line('user', `And parcel ${index}?`) + line('ai', 'Tomorrow.')).join('')
}

/** Without the times, which differ from run to run. */
function timeless(text: string): string {
  return text
    .replaceAll(/"timings":\{[^}]*\}/g, '')
    .replaceAll(/"at":"[^"]*"/g, '')
    .replace(/\nTime {5}[^]*$/, '\n')
    .replace(/one text in [\d.]+ ms/, '')
}

async function ended({ exit, output }: Omit<Piped, 'read'>): Promise<{ code: number; stdout: string; stderr: string }> {
  const [code, texts] = await Promise.all([exit, output])
  return { code, ...texts }
}

before(async () => {
  writeFileSync(place('twenty.txt'), Array.from({ length: 20 }, (_, index) => `text ${index} of twenty\n`).join(''))
  writeFileSync(place('many.txt'), Array.from({ length: 3000 }, (_, index) => `text number ${index}\n`).join(''))
  writeFileSync(place('some.txt'), Array.from({ length: 400 }, (_, index) => `text ${index}\n`).join(''))
  writeFileSync(place('broken.jsonl'), '{"text": "one"}\n'.repeat(20) + '{"text": 2}\n')
  writeFileSync(place('log.jsonl'), log(3, 50))
  writeFileSync(place('short.jsonl'), log(250, 1))
  const data = Float32Array.from({ length: 30 * 384 }, (_, index) => Math.sin(index * index))
  await Projection.fitPca({ rows: 30, dimensions: 384, data }, { components: 20 }).save(place('plane.json'))
})

// What takes long is the waiting of readers.
describe('a slow reader gets every byte', { concurrency: 4 }, () => {
  const cases: { name: string; args: () => string[]; stdin?: string; least?: number; code?: number; stream?: 'stdout' | 'stderr' }[] = [
    { name: 'embed', args: () => ['embed', '--input', place('twenty.txt')], least: 65_536 },
    { name: 'embed, before it fails', args: () => ['embed', '--input', place('broken.jsonl')], code: 2, stream: 'stderr' },
    { name: 'pca apply', args: () => ['pca', 'apply', '--projection', place('plane.json'), '--input', place('some.txt')], least: 65_536 },
    { name: 'pca inspect', args: () => ['pca', 'inspect', place('plane.json'), '--json'] },
    { name: 'monitor', args: () => ['monitor', place('short.jsonl')], least: 65_536 },
    { name: 'monitor --json', args: () => ['monitor', '--json', place('log.jsonl')], least: 65_536 },
    { name: 'monitor, notes', args: () => ['monitor', '--json', place('short.jsonl')], least: 65_536, stream: 'stderr' },
    { name: 'monitor --follow', args: () => ['monitor', '--json', '--follow', '-'], stdin: followed(60) },
    { name: 'model list', args: () => ['model', 'list', '--no-speed'] },
    { name: 'cost', args: () => ['cost', '--help'] },
    { name: 'doctor', args: () => ['doctor'] },
    { name: '--help', args: () => ['--help'] },
    { name: 'no command', args: () => [], code: 2, stream: 'stderr' },
    { name: 'wrong usage', args: () => ['embed', '--treads', '2'], code: 2, stream: 'stderr' },
  ]
  for (const { name, args, stdin = '', least = 1, code = 0, stream = 'stdout' } of cases) {
    test(`${name}: ${stream}`, async () => {
      const plain = await gabion(args(), { stdin })
      const slow = await ended(startPiped(args(), 'slow', { stream, stdin }))
      assert.ok(plain[stream].length >= least, `it writes only ${plain[stream].length} characters`)
      assert.equal(timeless(slow[stream]), timeless(plain[stream]))
      assert.deepEqual([slow.code, plain.code], [code, code])
    })
  }

  test('an error that nothing caught', async () => {
    const preload = place('uncaught.mjs')
    const fault = "if (process.listenerCount('uncaughtException') > 0) { clearInterval(timer); throw new Error('out of the blue') }"
    writeFileSync(preload, `const timer = setInterval(() => { ${fault} }, 20)\n`)
    writeFileSync(place('growing.jsonl'), '')
    const env = { NODE_OPTIONS: `--import=${preload}` }
    const { code, stderr } = await ended(startPiped(['monitor', '--follow', place('growing.jsonl')], 'slow', { stream: 'stderr', env }))
    assert.deepEqual([code, stderr], [1, 'error: INTERNAL: out of the blue\n'])
  })
})

describe('a reader that leaves', () => {
  test('while the command works ends it at once, quietly, with 141', async () => {
    const piped = startPlain(['embed', '--input', place('many.txt')])
    piped.child.stdout.once('data', () => piped.child.stdout.destroy())
    const { code, stderr } = await ended(piped)
    assert.deepEqual([code, stderr], [141, ''])
  })

  test('while a command that is done waits for it, too', async () => {
    const { code, stderr } = await ended(startPiped(['--help'], 'leaving'))
    assert.deepEqual([code, stderr], [141, ''])
  })

  test('of stderr does not end it', async () => {
    const args = ['monitor', '--json', place('log.jsonl')]
    const plain = await gabion(args)
    const { code, stdout } = await ended(startPiped(args, 'leaving', { stream: 'stderr' }))
    assert.deepEqual([code, timeless(stdout)], [0, timeless(plain.stdout)])
  })
})

describe('a full disk', () => {
  test('is a coded error, also for what is written last', async () => {
    const { code, stderr } = await ended(startPiped(['--help'], 'full'))
    assert.deepEqual([code, stderr], [1, 'error: STORAGE_FAILED: no space left on the device\n'])
  })
})

describe('a signal', () => {
  /** Begins to read 15 MB of vectors and stops. */
  async function stuck(args: readonly string[] = ['embed', '--input', place('many.txt')]): Promise<Omit<Piped, 'read'>> {
    const piped = startPlain(args)
    await once(piped.child.stdout, 'data')
    piped.child.stdout.pause()
    await pause(300)
    return piped
  }

  test('ends a command that waits for a reader that is stuck', async () => {
    const { child, exit } = await stuck()
    child.kill('SIGTERM')
    assert.equal(await exit, 143)
  })

  test('ends a command that is done and whose reader is stuck', async () => {
    const { child, exit } = startPiped(['--help'], 'stuck')
    await pause(700)
    child.kill('SIGTERM')
    assert.equal(await exit, 143)
  })

  test('has a command write nothing more than waits already', async () => {
    const rows = 300_000
    writeFileSync(
      place('rows.npy'),
      encodeNpy(
        Float64Array.from({ length: rows * 2 }, (_, index) => Math.sin(index * index)),
        [rows, 2],
      ),
    )
    const { code } = await gabion(['pca', 'fit', '--input', place('rows.npy'), '--components', '1', '--out', place('line.json')])
    assert.equal(code, 0)
    for (const args of [
      ['embed', '--input', place('many.txt')],
      ['pca', 'apply', '--projection', place('line.json'), '--input', place('rows.npy')],
    ]) {
      const piped = await stuck(args)
      piped.child.kill('SIGTERM')
      // The reader goes on within its time, but first the command could write on.
      await pause(700)
      piped.child.stdout.resume()
      const { code, stdout } = await ended(piped)
      assert.equal(code, 143)
      assert.ok(stdout.endsWith('}\n') && stdout.length < 400_000, `${args.join(' ')}: ${stdout.length} bytes`)
    }
  })

  test('a second one ends at once', async () => {
    const { child, exit } = await stuck()
    // Of signals that wait for a busy processor the kernel delivers the one with the lowest number first.
    child.kill('SIGHUP')
    await pause(100)
    child.kill('SIGINT')
    assert.equal(await exit, 130)
  })

  test('lets a reader that is only slow have whole lines', async () => {
    const piped = await stuck()
    piped.child.kill('SIGTERM')
    await pause(100)
    piped.child.stdout.resume()
    const { code, stdout, stderr } = await ended(piped)
    assert.deepEqual([code, stderr], [143, 'interrupted\n'])
    assert.ok(stdout.endsWith('}\n'))
    for (const [index, line] of stdout.trimEnd().split('\n').entries()) assert.equal((JSON.parse(line) as { index: number }).index, index)
  })

  test('ends a command that writes a report, and leaves no page behind', async () => {
    const empty = temporaryFolder()
    const { child, exit, output } = startPlain(['monitor', '--quiet', place('short.jsonl'), '--report', join(empty, 'report.html')])
    await until('a page is written', () => readdirSync(empty, { recursive: true }).some((name) => String(name).includes('.part/')))
    child.kill('SIGTERM')
    assert.equal(await exit, 143)
    await output
    assert.deepEqual(readdirSync(empty), [])
  })

  test('SIGHUP is one of them, and leaves no file behind', async () => {
    const empty = temporaryFolder()
    const { child, exit } = startPlain(['embed', '--input', place('many.txt'), '--out', join(empty, 'v.npy')])
    await until('the file is in the making', () => readdirSync(empty).length > 0)
    child.kill('SIGHUP')
    assert.equal(await exit, 129)
    assert.deepEqual(readdirSync(empty), [])
  })
})
