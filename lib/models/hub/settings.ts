// Owns the settings of hub and cache: the environment variables of Hugging Face's own tools with their semantics, so that the tools
// share downloads.

import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { GabionError } from '../../errors.js'

/** Settings of the hub. */
export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string
  /** Absolute path, with one folder per repository. */
  cacheFolder: string
  token: string | null
  /** No requests are sent to the hub. */
  offline: boolean
  /** Whether a snapshot's files may be links to the blobs. */
  symlinks: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

const DEFAULT_ENDPOINT = 'https://huggingface.co'

function isTrue(value: string | undefined): boolean {
  return ['1', 'on', 'yes', 'true'].includes((value ?? '').toLowerCase())
}

function given(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value
}

/** A path from the environment, with tilde and variables expanded as in a shell. */
function pathOf(value: string, environment: Environment): string {
  const expanded = value.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced: string | undefined, plain: string | undefined) => {
    return environment[braced ?? plain ?? ''] ?? whole
  })
  return resolve(expanded.replace(/^~(?=\/|$)/, homedir()))
}

async function readToken(environment: Environment, home: string): Promise<string | null> {
  const direct = given(environment.HF_TOKEN) ?? given(environment.HUGGING_FACE_HUB_TOKEN)
  if (direct !== undefined) return direct.trim()
  if (isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return null
  const file = given(environment.HF_TOKEN_PATH)
  const token = await readFile(file === undefined ? join(home, 'token') : pathOf(file, environment), 'utf8').catch(() => '')
  return given(token.trim()) ?? null
}

/**
 * Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_HUB_OFFLINE` and their older names.
 *
 * @throws GabionError `INVALID_ARGUMENT` for an endpoint that is no HTTP URL
 */
export async function readHubSettings(environment: Environment = process.env): Promise<HubSettings> {
  const endpoint = (given(environment.HF_ENDPOINT) ?? DEFAULT_ENDPOINT).replace(/\/+$/, '')
  if (!URL.canParse(endpoint) || !/^https?:/.test(endpoint)) {
    throw new GabionError('INVALID_ARGUMENT', `HF_ENDPOINT must be an http or https address, got ${JSON.stringify(endpoint)}`)
  }
  const caches = given(environment.XDG_CACHE_HOME) ?? '~/.cache'
  const home = pathOf(given(environment.HF_HOME) ?? join(caches, 'huggingface'), environment)
  const cache = given(environment.HF_HUB_CACHE) ?? given(environment.HUGGINGFACE_HUB_CACHE)
  return {
    endpoint,
    cacheFolder: cache === undefined ? join(home, 'hub') : pathOf(cache, environment),
    token: await readToken(environment, home),
    offline: isTrue(given(environment.HF_HUB_OFFLINE) ?? environment.TRANSFORMERS_OFFLINE),
    symlinks: !isTrue(environment.HF_HUB_DISABLE_SYMLINKS),
  }
}
