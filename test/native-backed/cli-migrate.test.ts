// The guide's commands (docs/migrate.md), run as they stand there, and what the migration's commands refuse.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Comparison } from '../../lib/migration/comparison.js'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Splits a line of the guide, which quotes with double quotes only. */
function words(line: string): string[] {
  return Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? '')
}

interface Result {
  stdout: string
  stderr: string
  code: number
}

async function runLine(line: string): Promise<Result> {
  const [program = '', ...args] = words(line)
  const command = program === 'gabion' ? ['dist/cli/main.js', ...args] : args
  assert.ok(program === 'gabion' || program === 'node', line)
  try {
    return { ...(await execute(process.execPath, command, { cwd: root })), code: 0 }
  } catch (error) {
    const { stdout, stderr, code } = error as Result
    return { stdout, stderr, code }
  }
}

describe('the migration guide', () => {
  let folder = ''
  let commands: string[] = []
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-migrate-'))
    const guide = await readFile(join(root, 'docs/migrate.md'), 'utf8')
    commands = Array.from(guide.matchAll(/^```sh\n(.*?)^```/gms), ([, block = '']) => block.trim().split('\n')).flat()
    commands = commands.map((line) => line.replaceAll('build/migrate', folder))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('runs from its first command to its last', async () => {
    assert.ok(commands.length >= 10)
    const outputs = new Map<string, string>()
    for (const line of commands) {
      const { stdout, stderr, code } = await runLine(line)
      assert.equal(code, 0, `${line}\n${stderr}`)
      outputs.set(line, stdout)
    }
    const output = (part: string): string => [...outputs].find(([line]) => line.includes(part))?.[1] ?? ''
    assert.match(output('adapter fit'), /on 200 pairs held out: R² 0\.9\d\d .*cosine 0\.9/)
    assert.match(output('adapter fold'), /384 → 2 components/)
    assert.match(output('--report'), /Safe to switch/)
    assert.match(output('gabion cost'), /Break-even: from 333,334 texts per day on.*Assumptions:/s)
    const comparison = JSON.parse(await readFile(join(folder, 'compare.json'), 'utf8')) as Comparison
    assert.equal(comparison.verdict.safe, true)
    assert.ok(comparison.new.latency !== null && comparison.new.latency.p50 > 0 && comparison.new.latency.p99 >= comparison.new.latency.p90)
    const page = await readFile(join(folder, 'compare.html'), 'utf8')
    assert.match(page, /Safe to switch/)
    assert.equal((page.match(/<svg/g) ?? []).length, 6, 'three charts, each for two widths')
    assert.doesNotMatch(page, /https?:\/\/(?!www\.w3\.org)/, 'the page loads nothing')
    const [once, twice] = await Promise.all(['cloud.pca.json', 'again.pca.json'].map((name) => readFile(join(folder, name), 'utf8')))
    assert.equal((JSON.parse(once!) as { id: string }).id, (JSON.parse(twice!) as { id: string }).id)
  })

  test('a shuffled pairing is not safe, and says so by its exit code', async () => {
    const lines = (await readFile(join(folder, 'compare.txt'), 'utf8')).trimEnd().split('\n')
    await writeFile(join(folder, 'shuffled.txt'), `${[...lines.slice(7), ...lines.slice(0, 7)].join('\n')}\n`)
    const { stdout, code } = await runLine(
      `gabion compare --old ${folder}/compare.cloud.npy --new all-MiniLM-L6-v2 --input ${folder}/shuffled.txt --adapter ${folder}/adapter.json --old-projection ${folder}/cloud.pca.json --fail-unless-safe --json`,
    )
    const { verdict } = JSON.parse(stdout) as Comparison
    assert.equal(verdict.safe, false)
    assert.equal(code, 1)
    assert.match(verdict.summary, /Not safe to switch: .*correlation/)
  })

  test('wrong usage is refused in words', async () => {
    const refused = async (line: string, message: RegExp): Promise<void> => {
      const { stderr, code } = await runLine(line)
      assert.match(stderr, message)
      assert.equal(code, 2, line)
    }
    await refused(`gabion compare --old ${folder}/compare.cloud.npy --new ${folder}/fit.cloud.npy`, /has 200 rows, .* 1000/)
    await refused(`gabion compare --old all-MiniLM-L6-v2 --new ${folder}/fit.cloud.npy`, /pass texts with --input FILE/)
    await refused(
      `gabion compare --old ${folder}/compare.cloud.npy --new all-MiniLM-L6-v2 --transcripts examples/shop-refund-eroding.json`,
      /contains vectors only, but conversations have to be embedded/,
    )
    await refused(
      `gabion adapter fit --from ${folder}/compare.txt --to ${folder}/compare.cloud.npy --out ${folder}/x.json`,
      /200 pairs are too few/,
    )
    await refused(`gabion pca import ${folder}/compare.txt --out ${folder}/x.json`, /ARTIFACT_INVALID: .*(?:not a pickle|cut short)/)
    await refused(
      `gabion adapter fold ${folder}/adapter.json --projection ${folder}/own.pca.json --out ${folder}/x.json`,
      /PROJECTION_MISMATCH/,
    )
    await refused('gabion cost --texts-per-day many --price-per-million 1 --machine-price 1', /Expected a number/)
  })
})
