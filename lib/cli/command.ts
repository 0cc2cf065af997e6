// Owns the common part of all commands: common options, running of actions, loading of an embedder from flags.

import { InvalidArgumentError, Option, type Command } from 'commander'
import type { EmbedderOptions, Precision } from '../embedding/embedder-options.js'
import type { Embedder } from '../embedding/embedder.js'
import { GRAPH_POOLINGS, type GraphPooling } from '../models/pooled-modules.js'
import { interruption } from './exit.js'
import { Output } from './output.js'

/** Options of every command. */
export interface CommonOptions {
  json?: boolean
  quiet?: boolean
}

/** Options of commands that compute vectors. */
export interface EmbedderFlags extends CommonOptions, PoolingFlags {
  model?: string
  provider?: 'cpu' | 'cuda'
  precision?: Precision
  threads?: number
  onnxFile?: string
  dimensions?: number
}

/** Context of an action. */
export interface Context {
  output: Output
  /** Fires at Ctrl-C, SIGTERM or SIGHUP. */
  signal: AbortSignal
}

/** A command's implementation: resolves with the exit code; undefined is 0. */
export type Action<O> = (context: Context, options: O, operands: string[]) => Promise<number | undefined>

/** Adds the common options, last, so that they are together in the help, and the action. */
export function finishCommand<O extends CommonOptions>(command: Command, examples: readonly string[], action: Action<O>): Command {
  return command
    .option('--json', 'one JSON object per line on stdout, and nothing else there')
    .option('-q, --quiet', 'no notes and no progress on stderr')
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}`)
    .action(async () => {
      const options = command.opts<O>()
      process.exitCode = await runAction(action, options, command.args)
    })
}

async function runAction<O extends CommonOptions>(action: Action<O>, options: O, operands: string[]): Promise<number> {
  const { signal } = interruption
  const output = new Output({ json: options.json === true, quiet: options.quiet === true, signal })
  try {
    const exitCode = await action({ output, signal }, options, operands)
    return interruption.exitCode ?? exitCode ?? 0
  } catch (error) {
    if (interruption.exitCode === null) throw error
    output.note('interrupted')
    return interruption.exitCode
  }
}

const DEFAULT_MODEL = 'all-MiniLM-L6-v2'

/** Adds `--model`, which is repeatable for `several` models, and the other flags of an embedder. */
export function addEmbedderOptions(command: Command, { several = false } = {}): Command {
  const model = new Option(
    '-m, --model <name|folder>',
    several ? 'a known model or a model folder; repeatable, requests name theirs, the first judges' : 'a known model or a model folder',
  ).default(DEFAULT_MODEL)
  if (several) model.argParser((value, previous: string | string[]) => (Array.isArray(previous) ? [...previous, value] : [value]))
  return addPooling(command)
    .addOption(model)
    .addOption(new Option('--provider <name>', 'where the model runs').choices(['cpu', 'cuda']).default('cpu'))
    .addOption(new Option('--precision <name>', 'arithmetic of the encoder').choices(['auto', 'fp32', 'bf16', 'int8']).default('auto'))
    .option('--onnx-file <path>', "which ONNX file of the model's folder to run, such as onnx/model_O3.onnx")
    .option('--dimensions <n>', 'cut vectors to so many values, of unit length (for models trained for it: Matryoshka)', parseCount)
    .option('-t, --threads <n>', 'encoder threads (default: by the machine or its quota)', parseCount)
}

/** Flags of models without modules.json. */
export interface PoolingFlags {
  pooling?: GraphPooling
  normalize?: boolean
}

/** Adds `--pooling` and `--no-normalize`. */
export function addPooling(command: Command): Command {
  return command
    .addOption(new Option('--pooling <name>', 'of a model without modules.json, as its card says').choices(GRAPH_POOLINGS))
    .option('--no-normalize', 'with --pooling: vectors keep their length')
}

/** The library's options by these flags. */
export function poolingOf({ pooling, normalize = true }: PoolingFlags): { pooling?: GraphPooling; normalize?: boolean } {
  return pooling === undefined ? {} : { pooling, normalize }
}

/** Loads the embedder by the flags and a command's `extra` options. */
export async function openEmbedder(flags: EmbedderFlags, extra: EmbedderOptions = {}): Promise<Embedder> {
  const { Embedder: Loader } = await import('../embedding/embedder.js')
  // Commands report truncated texts in their own output, so the library's warning would be a second one.
  const options: EmbedderOptions = { onTruncated: () => undefined, ...extra }
  if (flags.model !== undefined) options.model = flags.model
  if (flags.provider !== undefined) options.providers = [flags.provider]
  if (flags.precision !== undefined) options.precision = flags.precision
  if (flags.threads !== undefined) options.threads = flags.threads
  Object.assign(options, poolingOf(flags))
  if (flags.onnxFile !== undefined) options.onnxFile = flags.onnxFile
  if (flags.dimensions !== undefined) options.dimensions = flags.dimensions
  const embedder = await Loader.load(options)
  const output = new Output({ json: flags.json === true, quiet: flags.quiet === true, signal: interruption.signal })
  for (const warning of embedder.info.warnings) output.note(warning)
  return embedder
}

/** commander parser: a whole number of 1 or more. */
export function parseCount(value: string): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < 1 || !Number.isSafeInteger(number))
    throw new InvalidArgumentError('Expected a whole number of 1 or more.')
  return number
}

/** commander parser: a comma-separated list of whole numbers of 1 or more. */
export function parseCounts(value: string): number[] {
  return value.split(',').map((part) => parseCount(part.trim()))
}
