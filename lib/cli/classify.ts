// Owns `gabion classify`: texts and pairs in, labels with scores out.

import { Command, Option } from 'commander'
import type { Classifier } from '../classifier/classifier.js'
import type { ClassifierOptions, ClassifierPrecision } from '../classifier/classifier-options.js'
import { GabionError } from '../errors.js'
import { finishCommand, parseCount, type CommonOptions, type Context } from './command.js'
import { inBatches, readTexts, type SourceText, type TextFormat } from './text-source.js'
import { addTextFormat } from './vector-file.js'
import { count } from './wording.js'

interface ClassifyFlags extends CommonOptions {
  model: string
  pair?: string
  input?: string
  format: TextFormat
  topK?: number
  truncation: 'windows' | 'longest_first' | 'only_second'
  precision: ClassifierPrecision
  provider: 'cpu' | 'cuda'
  threads?: number
}

const BATCH_ROWS = 64
const BATCH_CHARACTERS = 200_000
/** Characters of a text that a line of output repeats. */
const SHOWN = 60

/** The command `classify`. */
export function classifyCommand(): Command {
  const command = new Command('classify')
    .summary('labels of texts or pairs by a Hugging Face classifier')
    .description(
      'Classifies texts with a …ForSequenceClassification folder and writes one line per text: label, score, text. With --json: {index, label, score, scores, tokens, windows, truncated}.',
    )
    .argument('[text...]', 'texts to classify')
    .requiredOption('-m, --model <folder>', 'a folder as transformers saves it')
    .option('--pair <text>', 'the second text of a pair with each text, such as a hypothesis or a passage')
    .option('-i, --input <file>', 'read the texts from a file, - for standard input; JSON lines may have a field "pair"')
  return finishCommand<ClassifyFlags>(
    addTextFormat(command)
      .option('-k, --top-k <n>', 'number of labels in "scores" (default: all)', parseCount)
      .addOption(
        new Option('--truncation <how>', 'long texts: read in windows, or cut')
          .choices(['windows', 'longest_first', 'only_second'])
          .default('windows'),
      )
      .addOption(new Option('--provider <name>', 'where the model runs').choices(['cpu', 'cuda']).default('cpu'))
      .addOption(new Option('--precision <name>', 'arithmetic of the encoder').choices(['auto', 'fp32', 'bf16', 'int8']).default('auto'))
      .option('-t, --threads <n>', 'encoder threads (default: by the machine or its quota)', parseCount),
    [
      'gabion classify --model ./nli "The shop opens at nine." --pair "It is closed at eight."',
      'gabion classify --model ./toxicity --input comments.txt --json',
      'cat pairs.jsonl | gabion classify --model ./reranker --input - --json',
    ],
    run,
  )
}

async function run({ output, signal }: Context, flags: ClassifyFlags, operands: string[]): Promise<undefined> {
  if (operands.length > 0 === (flags.input !== undefined)) throw new GabionError('INVALID_ARGUMENT', 'pass either texts or --input FILE')
  using classifier = await openClassifier(flags)
  const texts = flags.input === undefined ? operands.map((text) => ({ text, end: 0 })) : readTexts(flags.input, flags.format, signal)
  let index = 0
  let cut = 0
  for await (const batch of inBatches(texts, BATCH_ROWS, BATCH_CHARACTERS)) {
    const inputs = batch.map((item) => inputOf(item, flags.pair))
    const results = await classifier.classifyBatch(inputs, { signal, ...(flags.topK !== undefined && { topK: flags.topK }) })
    for (const [row, { label, score, scores, tokenCount, windows, truncated }] of results.entries()) {
      signal.throwIfAborted()
      if (truncated) cut++
      if (output.json) await output.jsonLine({ index, label, score, scores, tokens: tokenCount, windows, truncated })
      else await output.line(`${label}\t${score.toFixed(4)}\t${shown(batch[row]!.text)}`)
      index++
    }
  }
  if (cut > 0) output.note(`${count(cut, 'input')} longer than ${String(classifier.info.maxTokens)} tokens: truncated`)
}

/** A line's own pair goes before that of all. */
function inputOf({ text, pair: own }: SourceText, pair: string | undefined): string | { text: string; pair: string } {
  const second = own ?? pair
  return second === undefined ? text : { text, pair: second }
}

/** The start of a text, on one line. */
function shown(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > SHOWN ? `${line.slice(0, SHOWN - 1)}…` : line
}

async function openClassifier({ model, precision, provider, threads, truncation }: ClassifyFlags): Promise<Classifier> {
  const { Classifier: Loader } = await import('../classifier/classifier.js')
  const options: ClassifierOptions = { precision, providers: [provider], truncation }
  if (threads !== undefined) options.threads = threads
  return await Loader.load(model, options)
}
