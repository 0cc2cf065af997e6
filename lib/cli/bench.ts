// Owns `gabion bench`: latency of one text and throughput of a batch on this machine. Baselines are measured in bench/.

import { cpus } from 'node:os'
import Table from 'cli-table3'
import { Command, Option } from 'commander'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { addEmbedderOptions, finishCommand, openEmbedder, parseCount, parseCounts, type Context, type EmbedderFlags } from './command.js'
import { Progress } from './progress.js'
import { quantile } from '../statistics/quantile.js'
import { formatMs } from './wording.js'

interface BenchFlags extends EmbedderFlags {
  tokens: number[]
  runs: number
  batch: number
  mode: 'sync' | 'async' | 'both'
}

type Mode = 'sync' | 'async'

/** One result: a token count in one mode. */
interface Latency {
  tokens: number
  mode: Mode
  runs: number
  p50Ms: number
  p90Ms: number
  p99Ms: number
}

/** Different texts per token count, so that no run benefits from the previous one. */
const VARIANTS = 16
const WARM_UP_RUNS = 5

/** The command `bench`. */
export function benchCommand(): Command {
  const command = new Command('bench')
    .summary('latency and throughput on this machine')
    .description('Measures text to vector, tokenization included, by token count, and the throughput of a batch. The vector cache is off.')
    .option('--tokens <list>', 'token counts, special tokens included', parseCounts, [8, 16, 32, 64, 128, 256])
    .option('--runs <n>', 'timed runs per token count and mode', parseCount, 200)
    .option('--batch <n>', 'texts of mixed length in the throughput batch', parseCount, 256)
    .addOption(new Option('--mode <name>', 'embedSync, embed or both').choices(['sync', 'async', 'both']).default('both'))
  return finishCommand<BenchFlags>(
    addEmbedderOptions(command),
    ['gabion bench', 'gabion bench --threads 1 --precision fp32 --tokens 16,128 --runs 1000', 'gabion bench --json > here.jsonl'],
    run,
  )
}

async function run({ output, signal }: Context, flags: BenchFlags): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  const tooLong = flags.tokens.find((tokens) => tokens > embedder.info.maxSequenceLength)
  if (tooLong !== undefined) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `--tokens must be at most ${String(embedder.info.maxSequenceLength)} for ${embedder.info.model}, got ${String(tooLong)}`,
    )
  }
  for (const tokens of flags.tokens) textsOfLength(embedder, tokens, 1)
  const modes: Mode[] = flags.mode === 'both' ? ['sync', 'async'] : [flags.mode]
  const environment = describeEnvironment(embedder)
  if (output.json) await output.jsonLine({ environment })
  else
    await output.line(
      `${environment.model} ${environment.precision} on ${environment.provider} (${environment.instructionSet}), ${String(environment.threads)} threads, ${environment.cpu}`,
    )

  const results: Latency[] = []
  using progress = new Progress(output, 'measuring', 'runs', flags.tokens.length * flags.runs * modes.length)
  for (const tokens of flags.tokens) {
    const before = results.length * flags.runs
    const tick = (done: number): void => {
      progress.update(before + done, before + done)
    }
    const measured = await measureLatency(embedder, { tokens, modes, runs: flags.runs, signal, tick })
    results.push(...measured)
    if (output.json) for (const line of measured) await output.jsonLine(line)
  }
  progress.stop()
  const throughput = await measureThroughput(embedder, flags, signal)
  if (output.json) await output.jsonLine({ throughput })
  else {
    await output.line(latencyTable(results, modes))
    await output.line(
      `embedBatch of ${String(throughput.texts)} texts, ${String(throughput.tokens)} tokens: ${throughput.textsPerSecond.toFixed(0)} texts/s (best of ${String(throughput.rounds)})`,
    )
  }
}

function describeEnvironment(embedder: Embedder) {
  const { model, modelHash, precision, provider, instructionSet, threads, runtimeVersion } = embedder.info
  const cpu = cpus()[0]?.model.trim() ?? 'unknown CPU'
  return { model, modelHash, precision, provider, instructionSet, threads, runtimeVersion, cpu, node: process.version }
}

async function measureLatency(
  embedder: Embedder,
  {
    tokens,
    modes,
    runs,
    signal,
    tick,
  }: { tokens: number; modes: readonly Mode[]; runs: number; signal: AbortSignal; tick: (done: number) => void },
): Promise<Latency[]> {
  const texts = textsOfLength(embedder, tokens, VARIANTS)
  const once = async (mode: Mode, run: number): Promise<number> => {
    const text = texts[run % texts.length] ?? ''
    const startedAt = performance.now()
    if (mode === 'sync') embedder.embedSync(text)
    else await embedder.embed(text)
    return performance.now() - startedAt
  }
  const times = new Map(modes.map((mode) => [mode, new Float64Array(runs)]))
  for (let run = -WARM_UP_RUNS; run < runs; run++) {
    signal.throwIfAborted()
    // The modes are interleaved, so that outside disturbance affects them alike.
    for (const mode of modes) {
      const milliseconds = await once(mode, run + WARM_UP_RUNS)
      if (run >= 0) (times.get(mode) as Float64Array)[run] = milliseconds
    }
    if (run >= 0 && run % 16 === 0) {
      tick(run * modes.length)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return [...times].map(([mode, values]) => ({
    tokens,
    mode,
    runs,
    p50Ms: quantile(values, 0.5),
    p90Ms: quantile(values, 0.9),
    p99Ms: quantile(values, 0.99),
  }))
}

const THROUGHPUT_ROUNDS = 3

async function measureThroughput(embedder: Embedder, flags: BenchFlags, signal: AbortSignal) {
  const share = Math.ceil(flags.batch / flags.tokens.length)
  const texts = flags.tokens.flatMap((tokens) => textsOfLength(embedder, tokens, share)).slice(0, flags.batch)
  let best = Number.POSITIVE_INFINITY
  let tokens = 0
  for (let round = 0; round < THROUGHPUT_ROUNDS; round++) {
    const startedAt = performance.now()
    const batch = await embedder.embedBatch(texts, { signal })
    best = Math.min(best, performance.now() - startedAt)
    tokens = batch.totalTokenCounts.reduce((sum, value) => sum + value, 0)
  }
  return {
    texts: texts.length,
    tokens,
    rounds: THROUGHPUT_ROUNDS,
    bestMs: best,
    textsPerSecond: (texts.length / best) * 1000,
    tokensPerSecond: (tokens / best) * 1000,
  }
}

function latencyTable(results: readonly Latency[], modes: readonly Mode[]): string {
  const table = new Table({
    head: ['tokens', ...modes.flatMap((mode) => [`${mode} p50`, 'p90', 'p99'])],
    colAligns: ['right', ...modes.flatMap(() => ['right', 'right', 'right'] as const)],
    style: { head: [], border: [], compact: true },
  })
  for (const tokens of new Set(results.map((result) => result.tokens))) {
    const cells = modes.flatMap((mode) => {
      const found = results.find((result) => result.tokens === tokens && result.mode === mode)
      return [found?.p50Ms, found?.p90Ms, found?.p99Ms].map((value) => formatMs(value ?? Number.NaN))
    })
    table.push([String(tokens), ...cells])
  }
  return table.toString()
}

/** Common words, one token each in most vocabularies. */
const WORDS = (
  'the house stands near a river and people walk there every day with their children while old trees give shade in summer ' +
  'when it rains we stay at home read books cook dinner talk about work music travel history or simply look out of the window'
).split(' ')

/**
 * Makes `variants` different texts of exactly `tokens` tokens, special tokens included.
 * @throws GabionError INVALID_ARGUMENT if there is no such text (for example with fewer tokens than special tokens)
 */
function textsOfLength(embedder: Embedder, tokens: number, variants: number): string[] {
  return Array.from({ length: variants }, (_, variant) => textOfLength(embedder, tokens, variant))
}

function textOfLength(embedder: Embedder, tokens: number, variant: number): string {
  const word = (index: number): string => WORDS[(variant * 7 + index) % WORDS.length] as string
  let words = 0
  let text = ''
  while (words <= 2 * tokens) {
    const missing = tokens - embedder.tokenize(text).totalTokenCount
    if (missing === 0) return text
    if (missing < 0) break
    // Most words are one token, so this converges quickly.
    for (let added = 0; added < missing; added++) text += (text === '' ? '' : ' ') + word(words++)
  }
  throw new GabionError('INVALID_ARGUMENT', `--tokens ${String(tokens)}: no sample text of exactly that many tokens in this vocabulary`)
}
