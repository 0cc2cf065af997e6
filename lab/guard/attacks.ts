// What changes of a conversation take away from the guard, next to the erosion detector on the same texts: plays written conversations that fold 1
// leaves out of training through the product, at the shipped lines, and stores what each reached (no texts). attack-table.ts makes the tables.
//
// usage: node --import tsx lab/guard/attacks.ts [--guard FOLDER] [--conversations N] [--only PART] [--out FILE]
//
// N conversations with a break (40) and half as many without, under pressure, each up to its last changed reply. A change is made to every reply that
// breaks a rule; where none does, to every reply under pressure, which shows whether the change alone raises an alarm. PART picks attacks by a part of
// their name. An interrupted run continues from FILE.part.

import { createHash } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { DetectorVerdict, Level } from '../../lib/detection/detector.js'
import { GUARD_FOLDER } from '../../lib/detection/guard/load-guard.js'
import { LEVELS } from '../../lib/detection/verdict.js'
import type { Conversation } from '../../lib/monitor/conversation.js'
import { Monitor } from '../../lib/monitor/monitor.js'
import { ATTACKS, filledUp, type Attack, type Exchange } from './attack-list.js'
import type { AttackedConversation, AttackRun, Reached } from './attack-table.js'
import { deploymentsOf, LEFT_OUT, type Deployment, type WrittenExchange } from './written.js'

/** Conversations that are played at once: both cores are busy while one of them waits for its turn. */
const AT_ONCE = 3

interface Subject {
  readonly id: string
  readonly number: number
  readonly system: string
  readonly broken: boolean
  readonly exchanges: readonly (WrittenExchange & { readonly target: boolean; readonly ruleText: string })[]
  /** Harmless exchanges of the deployment's other conversations. */
  readonly ordinary: readonly Exchange[]
}

/** Conversations under pressure, with a break or without. */
function subjectsOf(deployments: readonly Deployment[]): Subject[] {
  return deployments.flatMap(({ system, rules, conversations }) =>
    conversations
      .filter(({ exchanges }) => exchanges.some(({ pressure, label }) => pressure > 0 || label === 'break'))
      .map(({ id, exchanges }) => {
        const broken = exchanges.some(({ label }) => label === 'break')
        const ordinary = conversations
          .filter((other) => other.id !== id)
          .flatMap((other) => other.exchanges.filter(({ pressure, label }) => pressure === 0 && label === 'ok'))
        return {
          ...{ id, number: 0, system, broken, ordinary },
          exchanges: upToLastTarget(
            exchanges.map((exchange) => ({
              ...exchange,
              target: broken ? exchange.label === 'break' : exchange.pressure > 0,
              ruleText: (rules.find(({ id: rule }) => rule === exchange.rule) ?? rules[0]!).text,
            })),
          ),
        }
      }),
  )
}

function upToLastTarget<Part extends { readonly target: boolean }>(exchanges: readonly Part[]): readonly Part[] {
  return exchanges.slice(0, exchanges.findLastIndex(({ target }) => target) + 1)
}

/** Evenly over the deployments. */
function sample(subjects: readonly Subject[], count: number): Subject[] {
  const step = Math.max(1, subjects.length / count)
  return Array.from({ length: Math.min(count, subjects.length) }, (_, at) => ({ ...subjects[Math.floor(at * step)]!, number: at }))
}

/** What a conversation reached so far. */
class Track {
  level: Level = 'calm'
  readonly targets: number[] = []

  add({ level, likelihood }: DetectorVerdict): number {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.level)) this.level = level
    return likelihood
  }

  copy(): Track {
    const other = new Track()
    other.level = this.level
    return other
  }

  get reached(): Reached {
    return { level: this.level, targets: this.targets.map((value) => Math.round(value * 1e4) / 1e4) }
  }
}

/** Adds exchanges; of those of a target the highest likelihood is kept. */
async function play(conversation: Conversation, track: Track, exchanges: readonly Exchange[], isTarget = false): Promise<void> {
  let highest = 0
  for (const { user, assistant } of exchanges) highest = Math.max(highest, track.add(await conversation.addExchange({ user, assistant })))
  if (isTarget) track.targets.push(highest)
}

/** Plays a conversation under each attack. What comes before the first change is judged once. */
async function attacked(monitor: Monitor, subject: Subject, attacks: readonly Attack[]): Promise<Reached[]> {
  const { id, number, system, exchanges, ordinary } = subject
  const first = exchanges.findIndex(({ target }) => target)
  const prefix = monitor.begin(id, { system })
  const before = new Track()
  await play(prefix, before, exchanges.slice(0, first))
  const found: Reached[] = []
  for (const { change, filled } of attacks) {
    const conversation = filled === undefined ? prefix.fork() : monitor.begin(id, { system })
    const track = filled === undefined ? before.copy() : new Track()
    const rest = filled === undefined ? exchanges.slice(first) : filledUp(exchanges, ordinary, filled)
    for (const exchange of rest) {
      if (!('target' in exchange) || !exchange.target) await play(conversation, track, [exchange])
      else {
        const { user, assistant, ruleText: rule } = exchange
        await play(conversation, track, change?.({ user, assistant, rule, at: number }) ?? [exchange], true)
      }
    }
    found.push(track.reached)
  }
  return found
}

/** Works on a few items at a time, and says how far it is. */
async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const started = performance.now()
  let done = 0
  const worker = async (): Promise<void> => {
    for (const item of waiting) {
      await work(item)
      done++
      const seconds = (performance.now() - started) / 1000
      const left = (seconds / done) * (items.length - done)
      console.error(`${String(done)} of ${String(items.length)} conversations, ${seconds.toFixed(0)} s, about ${left.toFixed(0)} s left`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** What an interrupted run of the same guard has left. */
async function storedRows(file: string, run: AttackRun): Promise<AttackedConversation[]> {
  const content = await readFile(file).catch(() => null)
  if (content === null) return []
  const [first = '', ...rows] = gunzipSync(content).toString().trimEnd().split('\n')
  return first === JSON.stringify(run) ? rows.map((row) => JSON.parse(row) as AttackedConversation) : []
}

/** In an order that does not depend on which conversation ended first. */
function store(file: string, run: AttackRun, rows: AttackedConversation[]): void {
  const places = Object.keys(ATTACKS)
  rows.sort((one, other) => places.indexOf(one.attack) - places.indexOf(other.attack) || one.conversation.localeCompare(other.conversation))
  writeFileSync(`${file}.new`, gzipSync([run, ...rows].map((row) => `${JSON.stringify(row)}\n`).join('')))
  renameSync(`${file}.new`, file)
}

const { values: flags } = parseArgs({
  options: {
    guard: { type: 'string', default: GUARD_FOLDER },
    conversations: { type: 'string', default: '40' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: 'lab/guard/scores/attacks.jsonl.gz' },
  },
})
const count = Number(flags.conversations)
const subjects = subjectsOf(await deploymentsOf(LEFT_OUT))
const chosen = [true, false].flatMap((broken) => sample(subjects.filter((subject) => subject.broken === broken), broken ? count : Math.ceil(count / 2))) // prettier-ignore
const names = Object.keys(ATTACKS).filter((name) => name === 'unchanged' || name.includes(flags.only))
const attacks = names.map((name) => ATTACKS[name]!)
using guard = await Monitor.load({ guard: { folder: flags.guard } })
using first = await Monitor.load({ embedder: guard.embedder, detector: 'erosion' })
const text = await readFile(join(flags.guard, 'guard.json'), 'utf8')
const { lines } = JSON.parse(text) as Pick<AttackRun, 'lines'>
const run: AttackRun = {
  guard: createHash('sha256').update(text).digest('hex').slice(0, 12),
  lines,
  precision: guard.embedder.info.precision,
}
const part = `${flags.out}.part`
const rows = await storedRows(part, run)
const open = chosen.filter(({ id }) => !rows.some(({ conversation }) => conversation === id))
await inParallel(open, async (subject) => {
  const [byGuard, byFirst] = await Promise.all([guard, first].map((monitor) => attacked(monitor as Monitor, subject, attacks)))
  for (const [at, attack] of names.entries())
    rows.push({ attack, conversation: subject.id, broken: subject.broken, guard: byGuard![at]!, first: byFirst![at]! })
  store(part, run, rows)
})
renameSync(part, flags.out)
console.error(`${flags.out}: ${String(names.length)} attacks on ${String(chosen.length)} conversations`)
