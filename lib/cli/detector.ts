// Owns `gabion detector`: train, adapt, calibrate and measure erosion detectors. The work is in lib/detection/training.

import { basename, join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { readArtefact, writeArtefact, type ErosionArtefact } from '../detection/erosion/artefact.js'
import { EROSION_ARTEFACTS } from '../detection/erosion/open-erosion.js'
import { RefusalReader } from '../detection/erosion/lexicon.js'
import { byConversation, thresholdsFrom } from '../detection/training/conversation-scores.js'
import { readCorpus, type Label } from '../detection/training/corpus.js'
import { embedExchanges, exchangesOf, type EmbeddedExchange } from '../detection/training/exchanges.js'
import { evaluate as evaluateSet } from '../detection/training/evaluate.js'
import { adaptHead } from '../detection/training/few-shot.js'
import { prepareSets, shippedPlan, type TrainingPlan, type TrainingProgress } from '../detection/training/prepare.js'
import { BUDGETS, VARIANTS, type RecipeSet, type Variant } from '../detection/training/recipe.js'
import { leaveOneSetOut } from '../detection/training/tables.js'
import { logitsAtRunTime } from '../detection/training/train-head.js'
import { trainVariant } from '../detection/training/train.js'
import { VectorStore } from '../detection/training/vector-store.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { addEmbedderOptions, finishCommand, openEmbedder, type Context, type EmbedderFlags } from './command.js'
import { evaluationTable, leaveOutTable } from './detector-tables.js'
import { Progress } from './progress.js'
import { count } from './wording.js'

interface TrainFlags extends EmbedderFlags {
  out: string
  sets?: string
  variant?: Variant
  mass: number
  adapt?: boolean
  artefact?: string
  cache?: string
  tables: boolean
}

interface CalibrateFlags extends EmbedderFlags {
  out: string
  artefact: string
  alert: number
  elevated: number
  cache?: string
}

interface EvaluateFlags extends EmbedderFlags {
  artefact: string
  cache?: string
}

/** The sets of a checkout; not part of the package. */
const CHECKOUT_SETS = fileURLToPath(new URL('../../data/', import.meta.url))

/** The command `detector` with its subcommands. */
export function detectorCommand(): Command {
  return new Command('detector')
    .summary('train, calibrate and measure erosion detectors')
    .description('The detector that `gabion monitor` judges with: make it from labelled conversations, set its thresholds, measure it.')
    .addCommand(trainCommand())
    .addCommand(calibrateCommand())
    .addCommand(evaluateCommand())
}

const addCache = (command: Command): Command => command.option('--cache <folder>', 'keep vectors here, so that a second run embeds nothing')

function trainCommand(): Command {
  const command = new Command('train')
    .summary('train a detector, or adapt one to a few conversations')
    .description(
      'Trains heads on labelled conversations (JSON lines of {"group", "label": "safe"|"unsafe", "turns": [{"user", "assistant"}]}), on the sets of a folder, or on both. Prints every set left out in turn, beside the controls. With --adapt: pulls a finished head towards 10 to 500 conversations and says what that is worth.',
    )
    .argument('[file...]', 'your own labelled conversations')
    .requiredOption('-o, --out <file|folder>', 'where the artefact goes: a .json file, or a folder for both variants')
    .option('--sets <folder>', "gabion's own sets (default in a checkout without files: data/)")
    .addOption(
      new Option('--variant <name>', 'with or without a block for the user\'s text (default: both, or "default" for one file)').choices(
        Object.keys(VARIANTS),
      ),
    )
    .option('--mass <n>', 'weight of each class of your own files, where a set of the recipe has about 0.5', parseMass, 1)
    .option('--adapt', 'adapt a finished head to the files instead of training a new one')
    .option('--artefact <file>', 'with --adapt: the head to start from (default: the bundled one)')
    .option('--no-tables', 'skip the tables, which take most of the time')
  return finishCommand<TrainFlags>(
    addEmbedderOptions(addCache(command)),
    [
      'gabion detector train --sets data --cache build/vectors --out models/detectors/erosion',
      'gabion detector train --adapt ours.jsonl --out ours.json',
    ],
    train,
  )
}

function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .summary("set thresholds on a deployment's own benign conversations")
    .description(
      'Sets the thresholds of a detector so that no more than a given share of benign conversations reaches them, and says how sure that is.',
    )
    .argument('<file...>', 'benign conversations, as for "train"; labels are not needed')
    .requiredOption('-o, --out <file>', 'where the calibrated artefact goes')
    .option('--artefact <file>', 'the detector to calibrate', EROSION_ARTEFACTS.default)
    .option('--alert <share>', 'benign conversations that may raise an alert', parseShare, BUDGETS.alert)
    .option('--elevated <share>', 'benign conversations that may become elevated', parseShare, BUDGETS.elevated)
  return finishCommand<CalibrateFlags>(
    addEmbedderOptions(addCache(command)),
    ['gabion detector calibrate benign.jsonl --alert 0.01 --out ours.json'],
    calibrate,
  )
}

function evaluateCommand(): Command {
  const command = new Command('evaluate')
    .summary('measure a detector on labelled conversations')
    .description('Areas, recall at false-alarm budgets, alerts a 1,000 benign exchanges, lead time and calibration, a table a file.')
    .argument('<file...>', 'labelled conversations, as for "train"')
    .option('--artefact <file>', 'the detector to measure', EROSION_ARTEFACTS.default)
  return finishCommand<EvaluateFlags>(addEmbedderOptions(addCache(command)), ['gabion detector evaluate labelled.jsonl --json'], evaluate)
}

async function train(context: Context, flags: TrainFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  if (flags.adapt === true) {
    await adapt(context, embedder, flags, files)
    return
  }
  const { output, signal } = context
  const steps = new Steps(context)
  const sets = await prepareSets(embedder, planOf(flags, files), { signal, onProgress: steps.report })
  const single = flags.out.endsWith('.json')
  const variants = flags.variant !== undefined ? [flags.variant] : single ? (['default'] as const) : (Object.keys(VARIANTS) as Variant[])
  if (!single) await mkdir(flags.out, { recursive: true })
  for (const variant of variants) {
    const { artefact, crossValidated } = trainVariant(variant, sets, { signal, onProgress: steps.report })
    const file = single ? flags.out : join(flags.out, basename(EROSION_ARTEFACTS[variant]))
    await writeArtefact(file, artefact)
    steps.stop()
    if (output.json) await output.jsonLine({ file, variant, crossValidated, thresholds: artefact.thresholds })
    else
      await output.line(
        `${file}: ${count(sets.training.length, 'exchange')}, cross-validated AUROC ${crossValidated.map(({ set, auroc }) => `${set} ${auroc.toFixed(3)}`).join(', ')}`,
      )
  }
  if (!flags.tables) return
  const rows = []
  for (const row of leaveOneSetOut(sets, variants, { signal, onProgress: steps.report })) {
    rows.push(row)
    if (output.json) await output.jsonLine({ leaveOneSetOut: row })
  }
  steps.stop()
  if (!output.json) await output.line(`\n${leaveOutTable(rows)}`)
}

function planOf(flags: TrainFlags, files: readonly string[]): TrainingPlan {
  const folder = flags.sets ?? (files.length === 0 && existsSync(CHECKOUT_SETS) ? CHECKOUT_SETS : undefined)
  if (folder === undefined && files.length === 0)
    throw new GabionError('INVALID_ARGUMENT', 'give files of labelled conversations, or a folder of sets with --sets')
  const cache = flags.cache ?? null
  const shipped = folder === undefined ? { sets: [], templates: null, measured: [], cache } : shippedPlan(folder, cache)
  const own = files.map((file): RecipeSet => ({
    name: nameOf(file),
    file,
    licence: 'own',
    taken: 'all',
    mass: { unsafe: flags.mass, safe: flags.mass },
    trained: folder === undefined ? 0.6 : 1,
  }))
  return { ...shipped, sets: [...shipped.sets, ...own] }
}

async function adapt(context: Context, embedder: Embedder, flags: TrainFlags, files: readonly string[]): Promise<void> {
  if (files.length === 0) throw new GabionError('INVALID_ARGUMENT', '--adapt needs files of labelled conversations')
  const artefact = await readArtefact(flags.artefact ?? EROSION_ARTEFACTS.default)
  const sets = await readSets(context, embedder, flags, artefact, files)
  const { head, c, shipped, adapted, gain } = adaptHead(
    artefact.head,
    sets.flatMap(({ exchanges }) => exchanges),
  )
  const worth = gain[0] > 0 ? 'gain' : 'no gain that the conversations can show'
  await writeArtefact(flags.out, {
    ...artefact,
    name: `${artefact.name}, adapted`,
    head,
    recipe: { ...artefact.recipe, adapted: true, adaptedC: c },
    thresholds: { ...artefact.thresholds, source: `${artefact.thresholds.source}; not set anew for the adapted head: calibrate it` },
  })
  const { output } = context
  if (output.json) await output.jsonLine({ file: flags.out, c, shipped, adapted, gain, worth })
  else {
    await output.line(
      `${flags.out}: AUROC on held-back conversations ${shipped.toFixed(3)} before, ${adapted.toFixed(3)} adapted (95 % interval of the gain ${gain.map((value) => value.toFixed(3)).join(' to ')}): ${worth}`,
    )
  }
}

async function calibrate(context: Context, flags: CalibrateFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  const artefact = await readArtefact(flags.artefact)
  const sets = await readSets(context, embedder, flags, artefact, files, 'safe')
  const benign = sets.flatMap(({ exchanges }) => exchanges)
  const { model, modelHash, precision } = embedder.info
  const conversations = byConversation(benign, logitsAtRunTime(artefact.head, benign, artefact.thresholds.scale.median))
  const thresholds = thresholdsFrom(conversations, flags, {
    source: files.map((file) => basename(file)).join(', '),
    embedder: { model, hash: modelHash, precision },
  })
  await writeArtefact(flags.out, { ...artefact, thresholds })
  const { output } = context
  const { elevated, alert } = thresholds.levels.max
  if (output.json) await output.jsonLine({ file: flags.out, conversations: conversations.length, ...thresholds })
  else {
    for (const [name, { value, budget, reached, upperBound }] of Object.entries({ alert, elevated })) {
      await output.line(
        `${name}: score ${value.toFixed(3)} for a budget of ${(100 * budget).toFixed(1)} %; ${reached} of ${count(conversations.length, 'benign conversation')} reach it, at most ${(100 * upperBound).toFixed(1)} % (95 %, Clopper-Pearson)`,
      )
    }
    await output.line(flags.out)
  }
}

async function evaluate(context: Context, flags: EvaluateFlags, files: string[]): Promise<undefined> {
  using embedder = await openEmbedder(flags, { cache: false })
  const artefact = await readArtefact(flags.artefact)
  for (const { name, exchanges } of await readSets(context, embedder, flags, artefact, files)) {
    const evaluation = evaluateSet(name, exchanges, artefact)
    if (context.output.json) await context.output.jsonLine(evaluation)
    else await context.output.line(`${evaluationTable(evaluation)}\n`)
  }
}

async function readSets(
  context: Context,
  embedder: Embedder,
  flags: { cache?: string },
  artefact: ErosionArtefact,
  files: readonly string[],
  label?: Label,
): Promise<{ name: string; exchanges: EmbeddedExchange[] }[]> {
  if (embedder.info.model !== artefact.embedder.model) {
    throw new GabionError(
      'ARTEFACT_INVALID',
      `the detector was trained on vectors of ${artefact.embedder.model}, this is ${embedder.info.model}`,
    )
  }
  const store = await VectorStore.open(embedder, artefact.windows, flags.cache ?? null)
  const steps = new Steps(context)
  const sets = []
  for (const file of files) {
    const corpus = await readCorpus(file, nameOf(file), label === undefined ? undefined : { label })
    const exchanges = await embedExchanges(exchangesOf(corpus, 'all'), store, new RefusalReader(artefact.lexicon), {
      signal: context.signal,
      onProgress: (progress) => {
        steps.report({ doing: 'embedding texts', ...progress })
      },
    })
    sets.push({ name: corpus.name, exchanges })
  }
  steps.stop()
  return sets
}

/** The progress bar of work in several steps. */
class Steps {
  readonly #context: Context
  #doing = ''
  #bar: Progress | null = null

  constructor(context: Context) {
    this.#context = context
  }

  readonly report: TrainingProgress = ({ doing, done, total }) => {
    if (doing !== this.#doing) {
      this.stop()
      this.#doing = doing
      this.#bar = new Progress(this.#context.output, doing, 'done', total)
    }
    this.#bar?.update(done, done)
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = null
    this.#doing = ''
  }
}

function nameOf(file: string): string {
  return basename(file).replace(/\.jsonl?(\.gz)?$/, '')
}

function parseShare(value: string): number {
  const share = Number(value)
  if (value.trim() === '' || !(share > 0 && share < 1)) throw new InvalidArgumentError('Expected a share between 0 and 1, such as 0.01.')
  return share
}

function parseMass(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !(number > 0) || !Number.isFinite(number)) throw new InvalidArgumentError('Expected a number above 0.')
  return number
}
