// Owns `gabion model`: conversion, verification, licenses; list and pull are in their own files.

import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import {
  bundledModelLicenses,
  readModelFolder,
  readModelLicense,
  requireVerified,
  verifyModel,
  type GraphPrecision,
  type ModelLicense,
} from '../models/index.js'
import { verifyBinaries } from '../binary-checksums.js'
import { GabionError } from '../errors.js'
import { binariesLocation } from '../native-binaries.js'
import { addPooling, finishCommand, openEmbedder, poolingOf, type CommonOptions, type Context, type PoolingFlags } from './command.js'
import { listCommand } from './model-list.js'
import { PRECISION_LIST, parsePrecisions, pullCommand } from './model-pull.js'
import { PendingFile } from '../files/pending-file.js'
import { Progress } from './progress.js'
import { packagePath } from '../package-folder.js'
import { cosine } from '../statistics/vectors.js'

interface ConvertFlags extends CommonOptions, PoolingFlags {
  out?: string
  precision: GraphPrecision[]
  overwrite?: boolean
}

interface LicenseFlags extends CommonOptions {
  full?: boolean
  out?: string
}

/** The command `model` with its subcommands. */
export function modelCommand(): Command {
  return new Command('model')
    .summary('list, pull, convert and verify models, and their licenses')
    .description('Known and local models: list, download from the hub, conversion to ONNX, checksums, licenses.')
    .addCommand(listCommand())
    .addCommand(pullCommand())
    .addCommand(convertCommand())
    .addCommand(verifyCommand())
    .addCommand(licensesCommand())
}

function convertCommand(): Command {
  const command = new Command('convert')
    .summary('safetensors checkpoint to ONNX graphs')
    .description('Converts the checkpoint of a folder in the sentence-transformers layout to ONNX graphs, without Python.')
    .argument('<folder>', 'folder with config.json, modules.json, tokenizer.json and model.safetensors')
    .option('-o, --out <folder>', 'create a new model folder (default: add onnx/ to the given one)')
    .option('--precision <list>', PRECISION_LIST, parsePrecisions, ['bf16'])
    .option('--overwrite', 'replace existing files')
  return finishCommand<ConvertFlags>(
    addPooling(command),
    ['gabion model convert ./my-model', 'gabion model convert ./my-model --out ./converted --precision bf16,fp32'],
    convert,
  )
}

function verifyCommand(): Command {
  const command = new Command('verify')
    .summary("compare a model's files with their checksums, and run its self-test")
    .description(
      'Compares every file of a model folder with the SHA-256 in its manifests, then loads it: the vector of the self-test text, if the ' +
        'folder has one, must match the stored one. Exit code 2 if a file is missing or differs.',
    )
    .argument('[name|folder]', 'a known model or a model folder', 'all-MiniLM-L6-v2')
  return finishCommand<CommonOptions>(command, ['gabion model verify', 'gabion model verify ./my-model --json'], verify)
}

function licensesCommand(): Command {
  const command = new Command('licenses')
    .summary('licenses and notices')
    .description('Shows the license terms and required attributions of gabion, its parts and its models.')
    .argument('[name|folder...]', 'models (default: the bundled ones)')
    .option('--full', 'with the full license texts')
    .option('-o, --out <file>', 'write all of them, in full, to a file for redistribution')
  const examples = ['gabion model licenses', 'gabion model licenses all-mpnet-base-v2 --out NOTICE.txt']
  return finishCommand<LicenseFlags>(command, examples, licenses)
}

async function convert({ output, signal }: Context, flags: ConvertFlags, [source = '']: string[]): Promise<undefined> {
  // Imported here: the converter is the largest module, and no other command needs it.
  const { convertModel } = await import('../convert/index.js')
  const out = flags.out ?? source
  using progress = new Progress(output, 'converting', 'MB', null)
  const manifest = await convertModel({
    source,
    out,
    precisions: flags.precision,
    overwrite: flags.overwrite === true,
    measure: true,
    ...poolingOf(flags),
    signal,
    onProgress: ({ bytesWritten }) => {
      progress.update(0, Math.round(bytesWritten / 1e6))
    },
  })
  progress.stop()
  if (output.json) await output.jsonLine({ folder: out, ...manifest })
  else {
    for (const { precision, file, bytes, weights } of manifest.graphs) {
      await output.line(`${out}/onnx/${file}: ${precision}, ${((bytes + weights.bytes) / 1e6).toFixed(1)} MB with its weights`)
    }
  }
}

/** The folder of a local model, also of one pulled or converted earlier. */
async function locate(model: string | undefined): Promise<string> {
  const { locateModel } = await import('../convert/kept-models.js')
  return locateModel(model)
}

async function verify({ output, signal }: Context, _flags: CommonOptions, [model]: string[]): Promise<undefined> {
  const verification = await verifyModel(await locate(model), { signal })
  const loads = verification.ok ? await tryToLoad(verification.folder) : null
  const binaries = verifyBinaries(binariesLocation()?.folder ?? '') ?? []
  if (output.json) await output.jsonLine({ ...verification, ...loads, binaries })
  else {
    const { green, red } = output.colors
    await output.line(verification.folder)
    for (const { file, state } of [...verification.files, ...binaries]) {
      await output.line(`  ${(state === 'ok' ? green : red)(state.padEnd(7))}  ${file}`)
    }
  }
  requireVerified(verification)
  const changed = binaries.filter(({ state }) => state !== 'ok')
  if (changed.length > 0) {
    const list = changed
      .map(({ file, state, expected }) => (state === 'missing' ? `${file} is missing` : `${file} differs from SHA-256 ${expected}`))
      .join('; ')
    throw new GabionError('CHECKSUM_MISMATCH', `the binaries differ from their release: ${list}; reinstall gabion`)
  }
  if (loads !== null && !output.json) {
    const sample =
      loads.selfTestCosine === null ? '' : `; its self-test vector has cosine ${loads.selfTestCosine.toFixed(7)} to the stored one`
    await output.line(`  loads as ${loads.precision}${sample}`)
  }
}

/** Loads a model, which runs its self-test, and returns the cosine of the self-test's vector to the stored one. */
async function tryToLoad(folder: string): Promise<{ precision: string; selfTestCosine: number | null }> {
  using embedder = await openEmbedder({ model: folder, threads: 1 }, { cache: false })
  const { selfTest } = await readModelFolder(folder)
  const { precision } = embedder.info
  if (selfTest === null) return { precision, selfTestCosine: null }
  const vector = await embedder.embed(selfTest.text, { prompt: '' })
  return { precision, selfTestCosine: Math.min(1, cosine(vector, selfTest.vector)) }
}

async function licenses({ output }: Context, flags: LicenseFlags, models: string[]): Promise<undefined> {
  const found =
    models.length === 0
      ? await bundledModelLicenses()
      : await Promise.all(models.map(async (model) => readModelLicense(await locate(model))))
  if (output.json) {
    for (const { text, ...rest } of found) await output.jsonLine(flags.full === true ? { ...rest, text } : rest)
    return
  }
  const ours = (await readFile(packagePath('NOTICE'), 'utf8')).trimEnd()
  if (flags.out !== undefined) {
    const file = await PendingFile.create(flags.out)
    const parts = [ours, ...found.map((license) => `${license.name}\n${'='.repeat(license.name.length)}\n${termsOf(license, true)}`)]
    await file.append(`${parts.join('\n\n')}\n`)
    await file.complete()
    output.note(`${flags.out}: gabion, its parts, ${found.map(({ name }) => name).join(', ')}`)
    return
  }
  if (models.length === 0) await output.line(ours)
  for (const license of found) await output.line(`\n${output.colors.bold(license.name)}\n${termsOf(license, flags.full === true)}`)
}

function termsOf({ license, notice, text }: ModelLicense, full: boolean): string {
  return [`license: ${license}`, ...(notice === null ? [] : [notice.trimEnd()]), ...(full && text !== null ? [text.trimEnd()] : [])].join(
    '\n\n',
  )
}
