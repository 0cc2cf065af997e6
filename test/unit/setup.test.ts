// The set-up's decisions: which tool is new enough, what counts as changed, how wrong usage ends.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Toolchain {
  compareVersions: (a: string, b: string) => number
  atLeast: (version: string, minimum: string) => boolean
}
interface Stamps {
  hashInputs: (inputs: { files?: string[]; texts?: string[] }) => string
}

// Scripts are plain modules without declarations.
const load = async (name: string): Promise<unknown> => import(new URL(`../../scripts/setup/${name}`, import.meta.url).href)
const { compareVersions, atLeast } = (await load('toolchain.mjs')) as Toolchain
const { hashInputs } = (await load('stamps.mjs')) as Stamps
const { removeForeignBuild } = (await load('../build-native.mjs')) as {
  removeForeignBuild: (folder: string, wanted: { source: string; compiler: string }) => void
}

interface Step {
  id: string
  title: string
  after: string[]
  work: () => Promise<unknown>
}
const { runSteps } = (await load('../setup.mjs')) as { runSteps: (steps: Step[], context: object) => Promise<number> }

const version = fc.array(fc.nat(300), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'))

test('a build folder of another checkout or compiler is removed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gabion-cmake-'))
  const cache = join(folder, 'CMakeCache.txt')
  try {
    await writeFile(cache, `CMAKE_CXX_COMPILER:FILEPATH=/usr/bin/c++\nCMAKE_HOME_DIRECTORY:INTERNAL=${root.replace(/\/$/, '')}\n`)
    const here = { source: root.replace(/\/$/, ''), compiler: '/usr/bin/c++' }
    removeForeignBuild(folder, here)
    assert.ok(existsSync(cache))
    removeForeignBuild(folder, { ...here, compiler: '/usr/bin/clang++' })
    assert.ok(!existsSync(folder))
    await mkdir(folder)
    removeForeignBuild(folder, here)
    assert.ok(existsSync(folder))
    await writeFile(cache, 'CMAKE_CXX_COMPILER:FILEPATH=/usr/bin/c++\nCMAKE_HOME_DIRECTORY:INTERNAL=/somewhere/else\n')
    removeForeignBuild(folder, here)
    assert.ok(!existsSync(folder))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

describe('versions', () => {
  test('are compared part by part as numbers', () => {
    assert.ok(atLeast('1.100.0', '1.85'))
    assert.ok(atLeast('12', '12'))
    assert.ok(!atLeast('3.9.18', '3.10'))
    assert.ok(!atLeast('1.84.9', '1.85'))
    assert.equal(compareVersions('1.85', '1.85.0'), 0)
  })

  test('are ordered: swapping the sides swaps the sign', () => {
    fc.assert(fc.property(version, version, (a, b) => Math.sign(compareVersions(a, b)) === -Math.sign(compareVersions(b, a))))
  })

  test('grow with any part that grows', () => {
    fc.assert(fc.property(version, (a) => compareVersions(`${a}.1`, a) > 0))
  })
})

describe('steps of the set-up', () => {
  const seen: string[] = []
  const step = (id: string, after: string[], work: () => Promise<unknown> | undefined = () => undefined): Step => ({
    id,
    title: id,
    after,
    work: async () => {
      seen.push(`${id} begins`)
      await work()
      seen.push(`${id} ends`)
    },
  })

  test('start when those that they need are done, and run side by side', async () => {
    seen.length = 0
    let release: (() => void) | undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    const fast = async (): Promise<void> => Promise.resolve(release?.())
    const steps = [
      step('root', []),
      step('slow', ['root'], () => held),
      step('fast', ['root', 'of another purpose'], fast),
      step('last', ['slow']),
    ]
    assert.equal(await runSteps(steps, {}), 4)
    assert.deepEqual(seen.slice(0, 4), ['root begins', 'root ends', 'slow begins', 'fast begins'])
    assert.deepEqual(seen.slice(-2), ['last begins', 'last ends'])
  })

  test('that need one that failed do not start, others go on to their end', async () => {
    seen.length = 0
    const broken = step('broken', [], () => Promise.reject(new Error('no room')))
    await assert.rejects(runSteps([broken, step('other', []), step('last', ['broken'])], {}), /no room/)
    assert.deepEqual(seen, ['broken begins', 'other begins', 'other ends'])
  })
})

describe('the hash of a step', () => {
  test('changes with content, name and place of a file, and not with its time', async () => {
    await mkdir(join(root, 'build'), { recursive: true })
    const folder = await mkdtemp(join(root, 'build', '.setup-test-'))
    try {
      const files = [relative(root, folder)]
      const hash = async (name: string, content: string): Promise<string> => {
        await writeFile(join(folder, name), content)
        return hashInputs({ files })
      }
      const first = await hash('a', 'one')
      assert.equal(await hash('a', 'one'), first)
      const second = await hash('a', 'two')
      assert.notEqual(second, first)
      assert.notEqual(await hash('b', ''), second)
      await rm(join(folder, 'b'))
      assert.equal(hashInputs({ files }), second)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('tells lists of texts apart', () => {
    assert.notEqual(hashInputs({ texts: ['a', 'b'] }), hashInputs({ texts: ['ab'] }))
  })
})

describe('wrong usage ends with exit code 2 and says what was expected', () => {
  const cases: [string[], RegExp][] = [
    [['scripts/setup.mjs', '--for', 'nothing'], /--for nothing: expected start, test/],
    [['scripts/setup.mjs', '--fast'], /Unknown option '--fast'.*usage: /s],
    [['scripts/prepare-ort.mjs', 'plan9-mips'], /unknown target plan9-mips: expected one of linux-x64, linux-arm64/],
  ]
  for (const [args, message] of cases) {
    test(args.join(' '), () => {
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
      assert.match(stderr, message)
      assert.equal(status, 2)
    })
  }
})
