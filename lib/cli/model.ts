// Owns `gabion model`: which models there are, converting one, checking files, licences.

import { readFile } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import {
  bundledFolder,
  bundledModelLicences,
  GRAPH_PRECISIONS,
  KNOWN_MODELS,
  readGraphManifest,
  readModelLicence,
  requireVerified,
  resolveModelFolder,
  verifyModel,
  type GraphPrecision,
  type GraphRecord,
  type KnownModel,
  type ModelLicence,
} from '../models/index.js'
import { finishCommand, type CommonOptions, type Context } from './command.js'
import { Progress } from './progress.js'

interface ConvertFlags extends CommonOptions {
  out?: string
  precision: GraphPrecision[]
  overwrite?: boolean
}

interface LicenceFlags extends CommonOptions {
  full?: boolean
}

/** The command `model` with its subcommands. */
export function modelCommand(): Command {
  return new Command('model')
    .summary('list, convert and verify models, and their licences')
    .description('Known and local models: what there is, conversion to ONNX, checksums, licences.')
    .addCommand(listCommand())
    .addCommand(convertCommand())
    .addCommand(verifyCommand())
    .addCommand(licencesCommand())
}

function listCommand(): Command {
  const command = new Command('list')
    .summary('the models that have a name')
    .description('Lists the models that gabion knows by name. Any other model is used by its folder: --model FOLDER.')
  return finishCommand<CommonOptions>(command, ['gabion model list', 'gabion model list --json'], list)
}

function convertCommand(): Command {
  const command = new Command('convert')
    .summary('safetensors checkpoint to ONNX graphs')
    .description('Converts the checkpoint of a folder in the sentence-transformers layout to ONNX graphs, without Python.')
    .argument('<folder>', 'folder with config.json, modules.json, tokenizer.json and model.safetensors')
    .option('-o, --out <folder>', 'make a new model folder (default: add onnx/ to the given one)')
    .option('--precision <list>', `comma-separated, of ${GRAPH_PRECISIONS.join(', ')}`, parsePrecisions, ['bf16'])
    .option('--overwrite', 'replace what is there already')
  return finishCommand<ConvertFlags>(
    command,
    ['gabion model convert ./my-model', 'gabion model convert ./my-model --out ./converted --precision bf16,fp32'],
    convert,
  )
}

function verifyCommand(): Command {
  const command = new Command('verify')
    .summary('compare the files of a model with their checksums')
    .description('Compares every file of a model folder with the SHA-256 in its manifests. Exit code 2 if one is missing or differs.')
    .argument('[name|folder]', 'a known model or a model folder', 'all-MiniLM-L6-v2')
  return finishCommand<CommonOptions>(command, ['gabion model verify', 'gabion model verify ./my-model --json'], verify)
}

function licencesCommand(): Command {
  const command = new Command('licences')
    .summary('licences and notices')
    .description('Shows under which terms gabion, its parts and its models may be used, and whom to name.')
    .argument('[name|folder...]', 'models (default: those that come with gabion)')
    .option('--full', 'with the whole licence texts')
  return finishCommand<LicenceFlags>(command, ['gabion model licences', 'gabion model licences ./my-model --full'], licences)
}

function parsePrecisions(value: string): GraphPrecision[] {
  return value.split(',').map((part) => {
    const found = GRAPH_PRECISIONS.find((name) => name === part.trim())
    if (found === undefined) throw new InvalidArgumentError(`Expected a comma-separated list of ${GRAPH_PRECISIONS.join(', ')}.`)
    return found
  })
}

async function list({ output }: Context): Promise<undefined> {
  const { bold, dim } = output.colors
  for (const model of KNOWN_MODELS) {
    const folder = model.bundled ? bundledFolder(model) : null
    const graphs = folder === null ? [] : ((await readGraphManifest(folder))?.graphs ?? [])
    if (output.json) await output.jsonLine({ ...model, folder, graphs: graphs.map(({ precision, parity }) => ({ precision, parity })) })
    else {
      const { name, architecture, layers, dimensions, maxSequenceLength, languages, licence } = model
      await output.line(`${bold(name.padEnd(38))} ${whereabouts(model, graphs)}`)
      const tokens = maxSequenceLength === null ? '128 or 256' : String(maxSequenceLength)
      await output.line(
        dim(`  ${architecture}, ${String(layers)} layers, ${String(dimensions)} dimensions, ${tokens} tokens, ${languages}, ${licence}`),
      )
    }
  }
  if (!output.json) output.note('A model that is not bundled is used by its folder: --model FOLDER, after "gabion model convert FOLDER".')
  return undefined
}

function whereabouts(model: KnownModel, graphs: readonly GraphRecord[]): string {
  if (model.bundled) return `bundled: ${graphs.map((graph) => graph.precision).join(', ')}`
  return model.convertible ? 'by folder' : 'by folder, as an ONNX export'
}

async function convert({ output, signal }: Context, flags: ConvertFlags, [source = '']: string[]): Promise<undefined> {
  // Only here: the converter is the largest room, and no other command needs it.
  const { convertModel } = await import('../convert/index.js')
  const out = flags.out ?? source
  const progress = new Progress(output, 'converting', 'MB', null)
  try {
    const manifest = await convertModel({
      source,
      out,
      precisions: flags.precision,
      overwrite: flags.overwrite === true,
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
  } finally {
    progress.stop()
  }
  return undefined
}

async function verify({ output, signal }: Context, _flags: CommonOptions, [model]: string[]): Promise<undefined> {
  const verification = await verifyModel(await resolveModelFolder(model), { signal })
  if (output.json) await output.jsonLine(verification)
  else {
    const { green, red } = output.colors
    await output.line(verification.folder)
    for (const { file, state } of verification.files) await output.line(`  ${(state === 'ok' ? green : red)(state.padEnd(7))}  ${file}`)
  }
  requireVerified(verification)
  return undefined
}

async function licences({ output }: Context, flags: LicenceFlags, models: string[]): Promise<undefined> {
  const found =
    models.length === 0
      ? await bundledModelLicences()
      : await Promise.all(models.map(async (model) => readModelLicence(await resolveModelFolder(model))))
  if (output.json) {
    for (const { text, ...rest } of found) await output.jsonLine(flags.full === true ? { ...rest, text } : rest)
    return undefined
  }
  if (models.length === 0) await output.line((await readFile(new URL('../../NOTICE', import.meta.url), 'utf8')).trimEnd())
  for (const licence of found) await output.line(`\n${output.colors.bold(licence.name)}\n${termsOf(licence, flags.full === true)}`)
  return undefined
}

function termsOf({ licence, notice, text }: ModelLicence, full: boolean): string {
  return [`licence: ${licence}`, ...(notice === null ? [] : [notice.trimEnd()]), ...(full && text !== null ? [text.trimEnd()] : [])].join(
    '\n\n',
  )
}
