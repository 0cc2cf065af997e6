// Owns the listing of a hub repository at one commit: files with hashes, and the choice of a model's files. Downloads none.

import { GabionError } from '../../errors.js'
import { configObject } from '../config-file.js'
import { chooseExport } from '../export-files.js'
import { TRANSFORMER_FILES } from '../folder-settings.js'
import { GGUF_REASON, REFUSED_WEIGHTS, WEIGHTS, WEIGHTS_INDEX } from '../weight-files.js'
import type { HubClient } from './client.js'

/** A file of a repository. */
export interface HubFile {
  /** Relative to the repository, with slashes. */
  path: string
  bytes: number
  /** The hub's identifier of the content: SHA-256 of a large file, git's SHA-1 of a small one; lower-case hex. */
  etag: string
}

/** A repository at a commit. */
export interface HubRepository {
  /** `owner/name`. */
  id: string
  /** 40 hex digits. */
  commit: string
  files: HubFile[]
}

const REPOSITORY = /^[\w][\w.-]*\/[\w][\w.-]*$/
const COMMIT = /^[0-9a-f]{40}$/
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

/** Whether a text is a valid repository name. */
export function isRepositoryId(text: string): boolean {
  return REPOSITORY.test(text) && !text.includes('..') && !text.includes('--') && text.length <= 96
}

/** Whether a text is a full commit hash. */
export function isCommit(text: string): boolean {
  return COMMIT.test(text)
}

/** Whether a path from the hub stays inside its target folder. */
function isInside(path: string): boolean {
  return path !== '' && !/[\\\0]/.test(path) && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

/**
 * Requests the list of a repository's files.
 *
 * @param revision branch, tag or commit
 * @throws GabionError as {@link HubClient.json}, and `MODEL_INVALID` for an invalid listing
 */
export async function readRepository(client: HubClient, id: string, revision: string): Promise<HubRepository> {
  const path = `/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`
  const listing = configObject(`${client.settings.endpoint}${path}`, await client.json(path))
  const commit = listing.string('sha')
  if (!isCommit(commit)) throw listing.wrong('sha', '40 hexadecimal digits')
  const files = listing.list('siblings').map((entry, index): HubFile => {
    const file = configObject(`${listing.source} › file ${String(index)}`, entry)
    const name = file.string('rfilename')
    if (!isInside(name)) throw file.wrong('rfilename', 'a path inside the repository')
    const large = file.has('lfs') ? file.object('lfs') : null
    const etag = large === null ? file.string('blobId') : large.string('sha256')
    if (!HASH.test(etag)) throw file.wrong('blobId', 'a hash in hexadecimal digits')
    return { path: name, bytes: (large ?? file).integer('size', 0), etag }
  })
  return { id, commit, files }
}

const SETTINGS = new Set<string>([
  'config.json',
  'modules.json',
  'adapter_config.json',
  ...TRANSFORMER_FILES,
  'config_sentence_transformers.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
])
const PAPERS = /^(readme|licen[cs]e|notice)(\.(md|txt))?$/i
const SHARD = /^model-\d+-of-\d+\.safetensors$/

function splitPath(path: string): { folder: string; name: string } {
  const at = path.lastIndexOf('/')
  return { folder: path.slice(0, at + 1), name: path.slice(at + 1) }
}

/**
 * Chooses the files that a model needs: configuration, tokenizer, model card and license, and the weights as safetensors, or as
 * an ONNX export where there are no others.
 *
 * @param isPlain whether a repository without modules.json is fine
 * @throws GabionError `MODEL_UNSUPPORTED` for a repository that is not in the sentence-transformers layout, or whose weights
 * have only unsupported formats (the message states the reason)
 */
export function neededFiles({ id, files }: HubRepository, isPlain = false): HubFile[] {
  const paths = new Set(files.map((file) => file.path))
  if (!paths.has('modules.json') && !isPlain) {
    const gguf = files.some(({ path }) => path.endsWith('.gguf')) && !paths.has(WEIGHTS)
    throw new GabionError(
      'MODEL_UNSUPPORTED',
      gguf
        ? `${id}: ${GGUF_REASON}`
        : `${id} has no modules.json: it is not in the sentence-transformers layout. If it is an encoder, name its pooling with the option pooling ` +
            '(--pooling mean, or cls, max, lasttoken), as its card says',
    )
  }
  // Module folders are top-level; deeper ones, and those of other runtimes, are no part of the layout.
  const own = files.filter(({ path }) => /^(?:(?!onnx\/|openvino\/|\.)[^/]+\/)?[^/]+$/.test(path))
  const chosen = own.filter(({ path }) => {
    const { folder, name } = splitPath(path)
    if (SETTINGS.has(name) || (folder === '' && PAPERS.test(name)) || name === WEIGHTS) return true
    return (name === WEIGHTS_INDEX || SHARD.test(name)) && !paths.has(folder + WEIGHTS)
  })
  const hasWeights = paths.has(WEIGHTS) || paths.has(WEIGHTS_INDEX)
  const exported = hasWeights ? null : chooseExport([...paths])
  for (const { path } of own) {
    const { folder, name } = splitPath(path)
    const refused = REFUSED_WEIGHTS.find(({ file }) => file === name)
    if (refused === undefined || paths.has(folder + WEIGHTS) || paths.has(folder + WEIGHTS_INDEX)) continue
    if (folder === '' && exported !== null) continue
    throw new GabionError('MODEL_UNSUPPORTED', `${id} has the weights of its folder '${folder}' only in ${name}: ${refused.reason}`)
  }
  if (exported === null) return chosen
  const parts = [exported, `${exported}_data`]
  return [...chosen, ...files.filter(({ path }) => parts.includes(path))]
}
