import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import { Projection } from '../../lib/projection/projection.js'
import { assertRefused, gabion, jsonLines, temporaryFolder } from './cli-process.js'

const ERODING = 'examples/shop-refund-eroding.json'
const BENIGN = 'examples/bank-card-benign.json'
const WITH_RULES = ['--system', 'examples/shop-system-prompt.md', ERODING]
const KEYS = [
  'conversation',
  'exchange',
  'exchangeId',
  'alert',
  'level',
  'likelihood',
  'risk',
  'drift',
  'acceleration',
  'cumulative',
  'ratio',
  'reasons',
  'truncated',
  'timings',
  'at',
]

/** What of a line does not depend on when it was judged and how long anything took. */
function timeless({ timings: _, at: __, ...line }: Record<string, unknown>): Record<string, unknown> {
  return line
}

describe('gabion monitor', () => {
  const folder = temporaryFolder()

  test('shows a table of exchanges, the alert and a summary, as plain text in a pipe', async () => {
    const { code, stdout, stderr } = await gabion(['monitor', ...WITH_RULES])
    assert.equal(code, 0, stderr)
    assert.ok(!stdout.includes('\x1b'))
    assert.match(stdout, /^shop-refund-eroding {2}examples\/shop-refund-eroding\.json, 10 exchanges$/m)
    assert.match(stdout, /^ *# +level +likelihood +drift +press +stren +why$/m)
    assert.match(stdout, /^ {3}1 {2}● calm /m)
    assert.match(stdout, /^ +ALERT {2}shop-refund-eroding, exchange \d+: likelihood [01]\.\d\d$/m)
    assert.match(stdout, /^Summary {2}1 conversation, 10 exchanges, 1 conversation with alerts$/m)
    assert.match(stdout, /tokenize \S+ .?s · encode \S+ ms · project \S+ .?s · detect \S+ .?s/)
    assert.match(stdout, /all-MiniLM-L6-v2 bf16 on cpu/)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
  })

  test('colours come with FORCE_COLOR only', async () => {
    const { stdout } = await gabion(['monitor', BENIGN], { env: { FORCE_COLOR: '1' } })
    assert.ok(stdout.includes('\x1b[32m● calm\x1b[39m'))
  })

  test('--json prints one object per exchange and a summary per conversation, nothing else', async () => {
    const { code, stdout, stderr } = await gabion(['monitor', '--detector', 'classic', '--json', ERODING, BENIGN])
    assert.equal(code, 0)
    assert.equal(stderr, '')
    const lines = jsonLines(stdout)
    const verdicts = lines.filter((line) => !('summary' in line))
    assert.deepEqual(
      verdicts.map((line) => [line.conversation, line.exchange]),
      ['shop-refund-eroding', 'bank-card-benign'].flatMap((name) => Array.from({ length: 10 }, (_, index) => [name, index + 1])),
    )
    for (const line of verdicts) {
      assert.deepEqual(Object.keys(line), KEYS)
      assert.deepEqual(Object.keys(line.timings as object), ['tokenizeMs', 'queueMs', 'encodeMs', 'projectMs', 'detectMs', 'totalMs'])
      assert.ok(['calm', 'elevated', 'alert'].includes(String(line.level)))
      const likelihood = Number(line.likelihood)
      assert.ok(likelihood >= 0 && likelihood <= 1)
      assert.equal(line.alert, likelihood > 0.8)
    }
    const summaries = lines.flatMap((line) => ('summary' in line ? [line.summary as Record<string, unknown>] : []))
    assert.deepEqual(Object.keys(lines[10] ?? {}), ['summary'])
    assert.deepEqual(
      summaries.map(({ conversation, exchanges: count }) => [conversation, count]),
      [
        ['shop-refund-eroding', 10],
        ['bank-card-benign', 10],
      ],
    )
    assert.equal(summaries[0]?.alerts, verdicts.filter((line) => line.alert === true && line.conversation === 'shop-refund-eroding').length)
  })

  test('--fail-on-alert ends with 3 after an alert, and with 0 without', async () => {
    const [alerted, calm] = await Promise.all([
      gabion(['monitor', '--fail-on-alert', '--json', ...WITH_RULES]),
      gabion(['monitor', '--fail-on-alert', BENIGN]),
    ])
    assert.equal(alerted.code, 3)
    assert.equal(jsonLines(alerted.stdout).length, 11)
    assert.equal(calm.code, 0)
  })

  test('the same conversation in every form gets the same verdicts', async () => {
    const { conversation, turns = conversation } = JSON.parse(readFileSync(BENIGN, 'utf8')) as Record<
      string,
      { speaker: string; message: string }[]
    >
    assert.ok(turns !== undefined)
    const csv = [
      'turn,speaker,message',
      ...turns.map(({ speaker, message }, index) => `${String(index)},${speaker},"${message.replaceAll('"', '""')}"`),
    ].join('\n')
    const chat = JSON.stringify(
      turns.map(({ speaker, message }) => ({ role: speaker === 'user' ? 'user' : 'assistant', content: message })),
    )
    const lines = JSON.stringify({ id: 'one', turns: turns.map(({ speaker, message }) => ({ role: speaker, text: message })) })
    const files = Object.entries({ 'form.csv': csv, 'form.json': chat, 'form.jsonl': `${lines}\n` }).map(([name, content]) => {
      const file = join(folder, name)
      writeFileSync(file, content)
      return file
    })
    const runs = await Promise.all([
      ...files.map((file) => gabion(['monitor', '--json', file])),
      gabion(['monitor', '--json', '-'], { stdin: chat }),
      gabion(['monitor', '--json', BENIGN]),
    ])
    const verdicts = runs.map(({ stdout }) =>
      jsonLines(stdout)
        .slice(0, -1)
        .map((line) => ({ ...timeless(line), conversation: '' })),
    )
    assert.equal(verdicts[0]?.length, 10)
    for (const other of verdicts.slice(1)) assert.deepEqual(other, verdicts[0])
  })

  test('--out writes the verdicts as CSV and JSON, and pictures', async () => {
    const out = join(folder, 'out')
    const { stdout } = await gabion(['monitor', '--json', ERODING, '--out', out])
    const lines = jsonLines(stdout)
    const written = JSON.parse(readFileSync(join(out, 'exchanges.json'), 'utf8')) as { exchanges: unknown[]; summaries: unknown[] }
    assert.deepEqual(written.exchanges, lines.slice(0, -1))
    assert.deepEqual(written.summaries, [lines.at(-1)?.summary])
    const rows: Record<string, string>[] = parse(readFileSync(join(out, 'exchanges.csv')), { columns: true })
    assert.deepEqual(
      rows.map((row) => Number(row.likelihood)),
      lines.slice(0, -1).map((line) => line.likelihood),
    )
    assert.deepEqual(readdirSync(out).sort(), ['exchanges.csv', 'exchanges.json', 'panels'])
  })

  test('the presets, a safe text and a projection change the verdicts', async () => {
    const plane = join(folder, 'plane.json')
    await gabion(['pca', 'fit', '--input', 'models/detectors/classic/safe-sentences.txt', '--components', '5', '--out', plane])
    const safe = ['--safe-text', 'I am sorry, I cannot do that.']
    const runs = [[], ['--preset', 'demo'], ['--preset', 'deployment'], safe, ['--projection', plane, ...safe]]
    const outputs = await Promise.all(runs.map((flags) => gabion(['monitor', '--json', BENIGN, ...flags])))
    const peaks = outputs.map(({ stdout }) =>
      JSON.stringify(
        jsonLines(stdout)
          .slice(0, -1)
          .map((line) => line.likelihood),
      ),
    )
    assert.equal(new Set(peaks).size, runs.length)
    assert.equal(jsonLines(outputs[2]?.stdout ?? '')[0]?.ratio, null)
  })

  test('messages without a reply are told of, on stderr unless --quiet', async () => {
    const stdin = JSON.stringify({
      turns: [
        { speaker: 'user', message: 'one' },
        { speaker: 'ai', message: 'two' },
        { speaker: 'user', message: 'three' },
      ],
    })
    const [loud, quiet] = await Promise.all([gabion(['monitor', '-'], { stdin }), gabion(['monitor', '--quiet', '--json', '-'], { stdin })])
    assert.match(loud.stderr, /^standard input: 1 user message after the last reply, not judged$/m)
    assert.equal(quiet.stderr, '')
    assert.equal((jsonLines(quiet.stdout).at(-1)?.summary as { pending: number }).pending, 1)
  })
})

describe('gabion monitor --follow', () => {
  const said = (speaker: string, message: string): string => `${JSON.stringify({ conversation: 'live', speaker, message })}\n`

  test('judges an exchange as soon as it is there; Ctrl-C sums up, completes the files and ends with 130', async () => {
    const out = join(temporaryFolder(), 'out')
    const { code, stdout, stderr } = await gabion(['monitor', '--follow', '--json', '-', '--out', out], {
      watch: (child) => {
        child.stdin?.write(said('user', 'Where is my parcel?'))
        child.stdin?.write(said('ai', 'It is on its way.'))
        child.stdout?.once('data', () => {
          child.stdin?.write(said('user', 'And the other one?'))
          setTimeout(() => child.kill('SIGINT'), 200)
        })
      },
    })
    assert.equal(code, 130, stderr)
    const [verdict, last] = jsonLines(stdout)
    assert.deepEqual([verdict?.conversation, verdict?.exchange], ['live', 1])
    assert.equal((last?.summary as { exchanges: number }).exchanges, 1)
    assert.deepEqual(readdirSync(out).sort(), ['exchanges.csv', 'exchanges.json', 'panels'])
  })

  test('the end of standard input ends it with 0', async () => {
    const { code, stdout } = await gabion(['monitor', '--follow', '--json', '-'], { stdin: said('user', 'hi') + said('ai', 'hello') })
    assert.equal(code, 0)
    assert.equal(jsonLines(stdout).length, 2)
  })
})

describe('gabion monitor refuses', () => {
  const folder = temporaryFolder()
  const fileOf = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const wrong: [string, string, RegExp][] = [
    ['broken.json', '{"turns": [\n{"speaker": "user"', /broken\.json.*not JSON/],
    [
      'unknown.json',
      '{"tickets": [{"who": 1, "body": "a"}]}',
      /unknown\.json: its form is not known .*--map 'role=who,text=body,items=tickets\[\]'/,
    ],
    [
      'field.json',
      '{"turns": [{"speaker": "user", "message": "a"}, {"speaker": "robot", "message": "b"}]}',
      /field\.json: entry 2: field 'speaker' must be one of/,
    ],
    ['list.json', '{"turns": 3}', /list\.json: field 'turns' .*must be a list/],
    ['lines.jsonl', '{"turns": []}\n{"turns": [{"speaker": "user"}]}\n', /lines\.jsonl: line 2: entry 1: field 'message'/],
    ['table.csv', 'turn,speaker\n1,user\n', /table\.csv: its form is not known \(it has turn, speaker\)/],
    ['empty.json', '', /empty\.json: it contains no conversation/],
  ]
  for (const [name, content, message] of wrong) {
    test(`${name}, with file, place and field`, async () => {
      const { code, stderr } = await gabion(['monitor', '--json', fileOf(name, content)])
      assert.equal(code, 1)
      assert.match(stderr, /^error: TRANSCRIPT_INVALID: [^\n]+\n([^\n]+ not judged\n)?not read: 1 problem\n$/)
      assert.match(stderr, message)
      const strict = await gabion(['monitor', '--strict', '--json', fileOf(name, content)])
      assert.equal(strict.code, 2)
      assert.match(strict.stderr, /^error: TRANSCRIPT_INVALID: [^\n]+\n$/)
    })
  }

  test('files, detectors and maps that do not exist or do not fit', async () => {
    const narrow = join(folder, 'narrow.json')
    const data = Float32Array.from({ length: 30 }, (_, index) => Math.sin(index * index))
    await Projection.fitPca({ rows: 10, dimensions: 3, data }, { components: 2 }).save(narrow)
    assertRefused(await gabion(['monitor']), 2, /missing required argument 'file'/)
    assertRefused(await gabion(['monitor', join(folder, 'none.json')]), 2, /TRANSCRIPT_INVALID: .*none\.json: cannot be read/)
    assertRefused(await gabion(['monitor', BENIGN, '--detector', 'psychic']), 2, /Allowed choices are guard, erosion, classic/)
    assertRefused(await gabion(['monitor', BENIGN, '--projection', narrow]), 2, /PROJECTION_MISMATCH/)
    assertRefused(await gabion(['monitor', BENIGN, '--safe-text', ' ']), 2, /INVALID_ARGUMENT: .*words in it/)
    assertRefused(await gabion(['monitor', '--follow', BENIGN, ERODING]), 2, /--follow takes one file, got 2/)
  })

  test('to leave half-written files behind', async () => {
    const out = join(folder, 'out')
    const file = fileOf('late.jsonl', `${JSON.stringify({ turns: [{ speaker: 'ai', message: 'fine' }] })}\nnot JSON\n`)
    const { code } = await gabion(['monitor', '--strict', file, '--out', out])
    assert.equal(code, 2)
    assert.deepEqual(readdirSync(out), [])
  })
})

describe('gabion monitor goes on after what it cannot read', () => {
  const folder = temporaryFolder()
  const exchange = (conversation: string): string => JSON.stringify({ conversation, user: 'Hours?', assistant: 'From nine to four.' })
  const lines = `${exchange('A')}\nnpm WARN something\n{"conversation":"A","user":null,"assistant":7}\n[7]\n${exchange('B')}\n`

  test('in files: later lines and later files are judged, and the exit code is 1', async () => {
    const [bad, good] = [join(folder, 'bad.jsonl'), join(folder, 'good.jsonl')]
    writeFileSync(bad, lines)
    writeFileSync(good, exchange('C'))
    const { code, stdout, stderr } = await gabion(['monitor', '--json', bad, good])
    assert.equal(code, 1)
    assert.deepEqual(
      jsonLines(stdout).flatMap((line) => ('summary' in line ? [(line.summary as { conversation: string }).conversation] : [])),
      ['A', 'B', 'C'],
    )
    assert.deepEqual(
      stderr.match(/bad\.jsonl: line \d/g),
      [2, 3, 4].map((line) => `bad.jsonl: line ${String(line)}`),
    )
  })

  test('in a stream: the alert code goes before 1', async () => {
    const { code, stdout, stderr } = await gabion(['monitor', '--json', '--follow', '-'], { stdin: lines })
    assert.equal(code, 1)
    assert.deepEqual(
      jsonLines(stdout).flatMap((line) => ('summary' in line ? [] : [line.conversation])),
      ['A', 'B'],
    )
    assert.match(stderr, /not read: 3 problems/)
    const alerting = await gabion(['monitor', '--fail-on-alert', '-', ...WITH_RULES], { stdin: '{oops' })
    assert.equal(alerting.code, 3)
  })

  test('says that lines without a conversation were taken as one', async () => {
    const file = join(folder, 'one.csv')
    writeFileSync(file, 'role,content\nuser,a\nassistant,b\nuser,c\nassistant,d\n')
    const { code, stdout, stderr } = await gabion(['monitor', '--json', file])
    assert.equal(code, 0)
    assert.equal(jsonLines(stdout).length, 3)
    assert.match(stderr, /^warning: one: all 4 lines without a conversation's name were taken as one conversation/)
  })
})

describe('gabion monitor --follow --state', () => {
  test('continues after kill -9 with the next exchange of each conversation', async () => {
    const folder = temporaryFolder()
    const [file, state] = [join(folder, 'live.jsonl'), join(folder, 'live.state')]
    const said = (user: string): string => `${JSON.stringify({ conversation: 'A', user, assistant: 'From nine to four.' })}\n`
    writeFileSync(file, said('Hours?'))
    // The journal has its header and a checkpoint.
    const killAfter =
      (lines: number) =>
      (child: ChildProcess): void => {
        const poll = setInterval(() => {
          if (!existsSync(state) || readFileSync(state, 'utf8').split('\n').length <= lines) return
          clearInterval(poll)
          child.kill('SIGKILL')
        }, 20)
      }
    const first = await gabion(['monitor', '--json', '--follow', file, '--state', state], { watch: killAfter(2) })
    appendFileSync(file, said('And on Sunday?'))
    const second = await gabion(['monitor', '--json', '--follow', file, '--state', state], { watch: killAfter(3) })
    const numbers = [first, second].map(({ stdout }) => jsonLines(stdout).map((line) => [line.conversation, line.exchange]))
    assert.deepEqual(numbers, [[['A', 1]], [['A', 2]]])
  })
})

describe('gabion transcripts', () => {
  test('lists the forms with an example each', async () => {
    const [listed, json] = await Promise.all([gabion(['transcripts']), gabion(['transcripts', '--json'])])
    const forms = jsonLines(json.stdout)
    assert.ok(forms.length >= 15)
    for (const { name, example } of forms) {
      assert.ok(listed.stdout.includes(`${String(name)}  `), String(name))
      assert.ok(listed.stdout.replaceAll(/^ {2}/gm, '').includes(String(example)), String(name))
    }
  })

  test('shows what is read from files', async () => {
    const { code, stdout } = await gabion(['transcripts', '--json', 'test/fixtures/transcripts/messages.csv'])
    assert.equal(code, 0)
    assert.deepEqual(
      jsonLines(stdout).map(({ id, exchanges }) => [id, (exchanges as unknown[]).length]),
      [
        ['alice', 2],
        ['bob', 1],
      ],
    )
  })
})
