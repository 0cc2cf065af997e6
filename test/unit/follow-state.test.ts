// Following over restarts: the journal, and files that grow, are rotated and truncated meanwhile.

import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { FollowedFile, type FilePosition } from '../../lib/cli/followed-file.js'
import { FollowJournal } from '../../lib/cli/follow-state.js'
import { watchWithCheckpoints, type WatchCheckpoint } from '../../lib/monitor/watch.js'
import { followWithCheckpoints } from '../../lib/transcripts/follow.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { FakeEmbedder, ScriptedDetector } from '../../lib/testing/index.js'

let folder = ''
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'gabion-state-'))))
after(() => rm(folder, { recursive: true, force: true }))

const line = (conversation: string, user: string, assistant: string): string => `${JSON.stringify({ conversation, user, assistant })}\n`

/** One run over a file, until these bytes were read: its verdicts as `conversation exchange`. */
async function run(file: string, state: string, bytes: number, crashes = false): Promise<string[]> {
  const journal = await FollowJournal.open(state)
  const from = journal.state
  const followed = new FollowedFile(file, from?.position ?? null)
  const controller = new AbortController()
  const stopSoon = (): void => void setTimeout(() => controller.abort(), 200)
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let left = bytes
    if (left === 0) stopSoon()
    for await (const chunk of followed.chunks(controller.signal)) {
      left -= chunk.length
      if (left === 0) stopSoon()
      yield chunk
    }
  }
  const options = { signal: controller.signal, ...(from !== null && { from: from.follow }) }
  const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new ScriptedDetector([]) })
  const verdicts: string[] = []
  for await (const item of watchWithCheckpoints(monitor, followWithCheckpoints(chunks(), 'live', options), from?.conversations ?? [])) {
    if (item.kind === 'verdict') verdicts.push(`${item.verdict.conversation} ${String(item.verdict.exchange)}`)
    // A process that is killed writes nothing more.
    if (item.kind === 'checkpoint' && !crashes) {
      await journal.append(item.checkpoint, await followed.positionOf(item.checkpoint.follow.end - (from?.follow.end ?? 0)))
    }
  }
  await journal.close()
  return verdicts
}

describe('following over restarts', () => {
  test('continues at the next line, with conversations and their pending messages', async () => {
    const [file, state] = [join(folder, 'a.jsonl'), join(folder, 'a.state')]
    const whole = `${line('a', '1', '2')}${line('b', '1', '2')}{"conversation":"a","role":"user","content":"3"}\n`
    const [cut, rest, more] = ['{"conversation":"a",', '"role":"assistant","content":"4"}\n', line('b', '5', '6')]
    await writeFile(file, whole + cut)
    assert.deepEqual(await run(file, state, whole.length + cut.length), ['a 1', 'b 1'])
    await appendFile(file, rest)
    assert.deepEqual(await run(file, state, cut.length + rest.length), ['a 2'])
    await appendFile(file, more)
    assert.deepEqual(await run(file, state, more.length, true), ['b 2'])
    // That run was killed before it had written its state, so the exchange is judged again, with the same number.
    assert.deepEqual(await run(file, state, more.length), ['b 2'])
    assert.deepEqual(await run(file, state, 0), [])
  })

  test('finishes a file that was renamed meanwhile, and goes on in the new one', async () => {
    const [file, state] = [join(folder, 'r.jsonl'), join(folder, 'r.state')]
    const [first, second, third] = [line('a', '1', '2'), line('a', '3', '4'), line('a', '5', '6')]
    await writeFile(file, first)
    assert.deepEqual(await run(file, state, first.length), ['a 1'])
    await appendFile(file, second)
    await rename(file, `${file}.1`)
    await writeFile(file, third)
    assert.deepEqual(await run(file, state, second.length + third.length), ['a 2', 'a 3'])
    assert.deepEqual(await run(file, state, 0), [])
  })

  test('begins anew in a file that was truncated, with the conversations as they were', async () => {
    const [file, state] = [join(folder, 't.jsonl'), join(folder, 't.state')]
    const [long, short] = [line('a', 'a long first question', '2'), line('a', '3', '4')]
    await writeFile(file, long)
    assert.deepEqual(await run(file, state, long.length), ['a 1'])
    await truncate(file)
    await appendFile(file, short)
    assert.deepEqual(await run(file, state, short.length), ['a 2'])
  })

  test('keeps the columns of CSV, and a field that is still open', async () => {
    const [file, state] = [join(folder, 'c.csv'), join(folder, 'c.state')]
    const [head, open, rest] = ['conversation,role,content\na,user,1\n', 'a,assistant,"2\n', 'more"\nb,user,3\nb,assistant,4\n']
    await writeFile(file, head + open)
    assert.deepEqual(await run(file, state, head.length + open.length), [])
    await appendFile(file, rest)
    assert.deepEqual(await run(file, state, open.length + rest.length), ['a 1', 'b 1'])
    assert.deepEqual(await run(file, state, 0), [])
  })
})

describe('the journal', () => {
  async function checkpointsOf(...chunks: string[]): Promise<WatchCheckpoint[]> {
    const found: WatchCheckpoint[] = []
    async function* stream(): AsyncGenerator<string> {
      for (const chunk of chunks) {
        yield chunk
        await new Promise((resolve) => setTimeout(resolve, 120))
      }
    }
    const monitor = await Monitor.load({ embedder: new FakeEmbedder(), detector: new ScriptedDetector([]) })
    for await (const item of watchWithCheckpoints(monitor, followWithCheckpoints(stream(), 'x'), [])) {
      if (item.kind === 'checkpoint') found.push(item.checkpoint)
    }
    return found
  }
  const AT: FilePosition = { inode: 1, offset: 2, head: 'x', headBytes: 2 }

  test('cut off at any byte gives a state that was written', async () => {
    const file = join(folder, 'journal')
    const checkpoints = await checkpointsOf(line('a', '1', '2'), line('b', '1', '2'), line('a', '3', '4'))
    assert.equal(checkpoints.length, 3)
    const journal = await FollowJournal.open(file)
    const states = new Set([JSON.stringify(null)])
    for (const checkpoint of checkpoints) {
      await journal.append(checkpoint, AT)
      states.add(JSON.stringify(journal.state))
    }
    await journal.close()
    const bytes = await readFile(file)
    const header = bytes.indexOf('\n') + 1
    for (let end = header; end <= bytes.length; end += 7) {
      await writeFile(file, bytes.subarray(0, end))
      const opened = await FollowJournal.open(file)
      assert.ok(states.has(JSON.stringify(opened.state)), String(end))
      await opened.close()
    }
  })

  test('is written anew when it is opened, and stays the same', async () => {
    const file = join(folder, 'compact')
    const [checkpoint] = await checkpointsOf(line('a', '1', '2'))
    assert.ok(checkpoint !== undefined)
    const journal = await FollowJournal.open(file)
    for (let times = 0; times < 50; times++) await journal.append(checkpoint, AT)
    const { size } = await stat(file)
    const { state } = journal
    await journal.close()
    const opened = await FollowJournal.open(file)
    assert.deepEqual(opened.state, state)
    assert.ok((await stat(file)).size < size / 20)
    await opened.close()
  })

  test('refuses a file that is none, and one of another release', async () => {
    const file = join(folder, 'other')
    await writeFile(file, '{"turns":[]}\n')
    await assert.rejects(FollowJournal.open(file), { code: 'ARTIFACT_INVALID', message: /is not a state of "gabion monitor --follow"/ })
    await writeFile(file, '{"format":"gabion-follow","version":9}\n')
    await assert.rejects(FollowJournal.open(file), { code: 'ARTIFACT_INVALID', message: /version 9/ })
  })
})
