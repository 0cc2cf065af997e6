import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { assertRefused, gabion, temporaryFolder } from './cli-process.js'

const COMMANDS = ['monitor', 'embed', 'pca', 'model', 'doctor', 'bench']
const LEAVES = [
  ['monitor'],
  ['embed'],
  ['pca', 'fit'],
  ['pca', 'apply'],
  ['pca', 'inspect'],
  ['model', 'list'],
  ['model', 'pull'],
  ['model', 'convert'],
  ['model', 'verify'],
  ['model', 'licenses'],
  ['doctor'],
  ['bench'],
]

describe('help and version', () => {
  test('--version is the package’s', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    const { code, stdout, stderr } = await gabion(['--version'])
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('--help names every command, with examples and exit codes, in 80 columns', async () => {
    const { code, stdout } = await gabion(['--help'])
    assert.equal(code, 0)
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`^ {2}${command} `, 'm'))
    assert.match(stdout, /^Examples:\n {2}gabion /m)
    assert.match(stdout, /Exit codes: 0 done/)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line)
  })

  test('every command explains itself, with examples and the common options', async () => {
    const ended = await Promise.all(LEAVES.map((leaf) => gabion([...leaf, '--help'])))
    for (const [index, { code, stdout, stderr }] of ended.entries()) {
      const name = (LEAVES[index] ?? []).join(' ')
      assert.equal(code, 0, name)
      assert.equal(stderr, '', name)
      assert.match(stdout, new RegExp(`^Usage: gabion ${name} `), name)
      assert.match(stdout, new RegExp(`^Examples:\\n {2}(cat |tail )?.*gabion ${name}`, 'm'), name)
      assert.match(stdout, /--json .*JSON object per line/, name)
      assert.match(stdout, /-q, --quiet/, name)
    }
  })

  test('without a command the help goes to stderr, with exit code 2', async () => {
    const { code, stdout, stderr } = await gabion([])
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, /^Usage: gabion/)
  })

  test('help is plain in a pipe and bold where colours are forced', async () => {
    assert.ok(!(await gabion(['--help'])).stdout.includes('\x1b'))
    assert.ok((await gabion(['--help'], { env: { FORCE_COLOR: '1' } })).stdout.startsWith('\x1b[1mUsage:'))
  })
})

describe('wrong usage', () => {
  const folder = temporaryFolder()
  const wrong: [string, string[], RegExp][] = [
    ['an unknown option', ['embed', '--treads', '2', 'x'], /INVALID_ARGUMENT: unknown option '--treads' \(Did you mean --threads\?\)/],
    ['an unknown command', ['mointor'], /INVALID_ARGUMENT: unknown command 'mointor' \(Did you mean monitor\?\)/],
    [
      'a number that is none',
      ['embed', '--threads', '1.5', 'x'],
      /'--?t?,? ?--threads <n>' argument '1.5' is invalid|argument '1.5' is invalid/,
    ],
    ['a choice that is none', ['embed', '--provider', 'tpu', 'x'], /Allowed choices are cpu, cuda/],
    ['no text and no file', ['embed'], /pass either texts or --input FILE/],
    ['texts and a file', ['embed', 'x', '--input', 'y'], /pass either texts or --input FILE/],
    ['an output that is no .npy', ['embed', 'x', '--out', 'vectors.csv'], /--out must name a \.npy file, got 'vectors\.csv'/],
    ['a missing option', ['pca', 'fit', '--input', 'x'], /required option '-o, --out <file>'/],
    ['a missing argument', ['pca', 'inspect'], /missing required argument 'file'/],
    ['a missing file', ['embed', '--input', join(folder, 'none.txt')], /none\.txt: no such file or folder/],
    ['a folder for a file', ['embed', '--input', folder], /expected a file, got a folder/],
    ['an unknown model', ['embed', '--model', join(folder, 'none'), 'x'], /MODEL_NOT_FOUND: .*none/],
    [
      'an output folder that is missing',
      ['embed', 'x', '--out', join(folder, 'none', 'v.npy')],
      /cannot write .*no such file or directory/,
    ],
    ['a projection that is missing', ['embed', 'x', '--project', join(folder, 'none.json')], /ARTIFACT_INVALID: .*none\.json/],
  ]
  for (const [name, args, message] of wrong) {
    test(`${name} is one coded line on stderr and exit code 2`, async () => {
      assertRefused(await gabion(args), 2, message)
    })
  }

  test('GABION_DEBUG=1 adds the stack trace', async () => {
    const { stderr } = await gabion(['embed', '--input', join(folder, 'none.txt')], { env: { GABION_DEBUG: '1' } })
    assert.match(stderr, /^error: INVALID_ARGUMENT: .*\n(.*\n)*\s+at /)
  })
})
