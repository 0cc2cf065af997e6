// Owns the checks of gabion itself for `gabion doctor`: addon, runtime, providers, model, one real embedding.

import { access, constants, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GUARD_FOLDER } from '../detection/guard/load-guard.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError, isGabionError, messageOf } from '../errors.js'
import { sha256OfFiles } from '../files/file-hash.js'
import { HOST_TARGET } from '../host-target.js'
import { KNOWN_MODELS, bundledFolder, requireVerified, resolveModelFolder, verifyModel } from '../models/index.js'
import { availableRuntimeVersion, fromNative, nativeAddon } from '../native.js'
import { RUNTIME_LIBRARY } from '../native-binaries.js'
import { openEmbedder, type EmbedderFlags } from './command.js'
import { check, checkInstallation, type Check } from './host-checks.js'
import { formatMs } from './wording.js'

/** Checks everything about gabion; stops at the first failure that the next checks depend on. */
export async function checkEngine(flags: EmbedderFlags): Promise<Check[]> {
  const binaries = checkInstallation()
  return binaries.status === 'fail' ? [binaries] : [binaries, ...(await checkLoaded(flags))]
}

async function checkLoaded(flags: EmbedderFlags): Promise<Check[]> {
  const addon = attempt('addon', REBUILD, () => {
    const { instructionSet, encoderInstructionSet, defaultThreads } = nativeAddon().machine()
    const kernels =
      encoderInstructionSet === '' ? `no kernels for this processor (${instructionSet})` : `kernels for ${encoderInstructionSet}`
    return `loaded; ${kernels}, ${String(defaultThreads)} encoder threads by default`
  })
  if (addon.status === 'fail') return [addon]
  const runtime = attempt('runtime', REBUILD, () => {
    if (RUNTIME_LIBRARY === null && availableRuntimeVersion() === null)
      return `no ONNX Runtime for ${HOST_TARGET}: the bundled model and converted ones run, graphs of standard operators do not`
    const { version, library } = nativeAddon().runtime()
    return `ONNX Runtime ${version} from ${library}`
  })
  if (runtime.status === 'fail') return [addon, runtime]
  return [addon, runtime, ...(await checkModel(flags))]
}

const REINSTALL = 'the bundled model was changed or damaged: npm install --force gabion (from a checkout: git checkout models)'
const REBUILD = 'from a checkout run "npm run setup"; from a package reinstall it'

function attempt(name: string, advice: string, detailOf: () => string): Check {
  try {
    return check(name, 'ok', detailOf())
  } catch (error) {
    return failed(name, fromNative(error), advice)
  }
}

function failed(name: string, error: unknown, advice: string): Check {
  const [reason = ''] = messageOf(error).split('\n')
  return check(name, 'fail', isGabionError(error) ? `${error.code}: ${reason}` : reason, advice)
}

async function checkModel(flags: EmbedderFlags): Promise<Check[]> {
  let embedder: Embedder
  try {
    embedder = await openEmbedder(flags)
  } catch (error) {
    if (isGabionError(error) && error.code === 'PROVIDER_UNAVAILABLE') {
      return [failed('provider', error, providerAdvice(error.message))]
    }
    return checkUnopened(flags.model, error)
  }
  using open = embedder
  const { info } = open
  return [
    check(
      'model',
      'ok',
      `${info.model} ${info.precision}, ${String(info.dimensions)} dimensions, up to ${String(info.maxSequenceLength)} tokens, ${info.license}`,
    ),
    await checkChecksums(info.folder),
    await checkGuard(),
    checkProviders(open),
    await checkEmbedding(open),
    check('cache', 'ok', `vectors of up to ${(open.cacheStats.maxBytes / 2 ** 20).toFixed(0)} MiB are kept in memory, nothing on disk`),
  ]
}

/** Checks for a model that fails to load: the reason, and its files' checksums if it can be located. */
async function checkUnopened(model: string | undefined, reason: unknown): Promise<Check[]> {
  const folder = await resolveModelFolder(model).catch(() => null)
  const advice = (folder === null ? null : await permissionAdvice(folder)) ?? 'see "gabion model list"'
  const files = folder === null ? null : await checkChecksums(folder)
  return [failed('model', reason, advice), ...(files?.status === 'fail' ? [files] : [])]
}

async function checkChecksums(folder: string): Promise<Check> {
  try {
    const verification = await verifyModel(folder)
    requireVerified(verification)
    return check('checksums', 'ok', `${String(verification.files.length)} files match their manifest`)
  } catch (error) {
    return failed('checksums', error, await repairOf(folder))
  }
}

/** The bundled guard's weights. Hashing them takes longer than loading may, so loading does not. */
async function checkGuard(): Promise<Check> {
  const weights = join(GUARD_FOLDER, 'model.safetensors')
  try {
    const { weightsSha256 } = JSON.parse(await readFile(join(GUARD_FOLDER, 'guard.json'), 'utf8')) as { weightsSha256: string }
    if ((await sha256OfFiles([weights])) !== weightsSha256) throw new GabionError('CHECKSUM_MISMATCH', `${weights} differs from guard.json`)
    return check('guard', 'ok', 'the weights match their description')
  } catch (error) {
    return failed('guard', error, (await permissionAdvice(GUARD_FOLDER)) ?? REINSTALL)
  }
}

/** Advice if this user may not read a model folder; null for other problems. */
async function permissionAdvice(folder: string): Promise<string | null> {
  const code = await access(folder, constants.R_OK | constants.X_OK).then(
    () => null,
    (error: unknown) => (error as NodeJS.ErrnoException).code,
  )
  return code === 'EACCES' ? `this user may not read it: chmod -R a+rX '${folder}'` : null
}

/** The command that repairs a model folder. */
async function repairOf(folder: string): Promise<string> {
  const denied = await permissionAdvice(folder)
  if (denied !== null) return denied
  const bundled = KNOWN_MODELS.some((known) => known.bundled && bundledFolder(known) === folder)
  if (bundled) return REINSTALL
  return `the model folder was changed or damaged: pull it again ("gabion model pull NAME"), or convert it again: gabion model convert '${folder}' --overwrite`
}

/** Advice for a CUDA provider that cannot be used, by the engine's message. */
function providerAdvice(reason: string): string {
  const release = nativeAddon().runtime().version
  const provider = `"onnxruntime-gpu==${release}"`
  const steps: [RegExp, string][] = [
    [
      /no CUDA provider library was found|does not exist/,
      `pip install ${provider}, then set GABION_CUDA_PROVIDER to its folder onnxruntime/capi`,
    ],
    [
      /lib(cublas|cudart|curand)[^:]*: cannot open/,
      `install CUDA 13, or next to the provider library: pip install "onnxruntime-gpu[cuda]==${release}"`,
    ],
    [
      /CreateEpFactories|ELF header|too short/,
      `that file is not a provider library of this release: pip install --force-reinstall ${provider}`,
    ],
    [/no NVIDIA driver|libcuda\.so/, "install NVIDIA's driver (nvidia-smi must work); give a container the device: --gpus all"],
    [
      /finds no device|shows no device|offers no device/,
      'look at nvidia-smi and CUDA_VISIBLE_DEVICES; give a container the device: --gpus all',
    ],
    [/free memory/, "nvidia-smi shows which processes use the device's memory"],
    [/version/i, `install the provider of the same release: pip install ${provider}`],
  ]
  return `${steps.find(([pattern]) => pattern.test(reason))?.[1] ?? 'install the part that the message names'}; or run with --provider cpu`
}

function checkProviders({ info }: Embedder): Check {
  const skipped = info.skippedProviders.map(({ provider, reason }) => `${provider}: ${reason}`)
  if (skipped.length === 0) return check('provider', 'ok', info.provider)
  return check('provider', 'warn', `${info.provider}; skipped ${skipped.join('; ')}`, 'the text after the name is the reason')
}

async function checkEmbedding(embedder: Embedder): Promise<Check> {
  try {
    const startedAt = performance.now()
    const vector = await embedder.embed('Is everything in order?')
    const length = Math.hypot(...vector)
    if (!(length > 0 && Number.isFinite(length))) return check('embedding', 'fail', `a vector of length ${length}`, REBUILD)
    return check('embedding', 'ok', `one text in ${formatMs(performance.now() - startedAt)} on ${String(embedder.info.threads)} threads`)
  } catch (error) {
    return failed('embedding', error, REBUILD)
  }
}
