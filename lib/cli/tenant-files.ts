// Owns the tenants of a server: a folder with a YAML file each, NAME.yaml, of what differs from the server's own settings.

import { readdir } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'
import { isFields, JsonObject } from '../json/json-object.js'
import { readText } from '../json/json-file.js'
import type { Tenant } from '../server/tenants.js'
import { openMonitor, systemOf, type JudgingFlags } from './judging-options.js'

const FIELDS = ['system', 'policy', 'benign', 'artifact', 'lexicon'] as const

/**
 * Reads the tenants of a folder. What a file does not say is as in `flags`.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming file and field
 */
export async function openTenants(embedder: Embedder, folder: string, flags: JudgingFlags): Promise<Map<string, Tenant>> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new GabionError('ARTIFACT_INVALID', `cannot read the tenants of ${folder}: ${(cause as Error).message}`, { cause })
  })
  const tenants = new Map<string, Tenant>()
  for (const name of names.filter((file) => /\.ya?ml$/.test(file)).sort()) {
    const own = await readTenant(join(folder, name))
    const all = { ...flags, ...own }
    tenants.set(basename(name, extname(name)), { monitor: await openMonitor(embedder, all), system: await systemOf(all) })
  }
  if (tenants.size === 0) throw new GabionError('ARTIFACT_INVALID', `${folder} has no file NAME.yaml, one for each tenant`)
  return tenants
}

async function readTenant(file: string): Promise<JudgingFlags> {
  const text = await readText(file, 'the tenant')
  let fields: unknown
  try {
    // Aliases can expand a small file to any size.
    fields = parse(text, { maxAliasCount: 0 }) ?? {}
  } catch (cause) {
    throw new GabionError('ARTIFACT_INVALID', `${file} is not YAML: ${(cause as Error).message}`, { cause })
  }
  const what = 'a tenant'
  if (!isFields(fields)) throw new GabionError('ARTIFACT_INVALID', `${file} must have fields: ${FIELDS.join(', ')}`)
  const unknown = Object.keys(fields).find((name) => !(FIELDS as readonly string[]).includes(name))
  if (unknown !== undefined)
    throw new GabionError('ARTIFACT_INVALID', `${file}: there is no field '${unknown}'; known fields: ${FIELDS.join(', ')}`)
  const json = JsonObject.of(fields, { source: file, code: 'ARTIFACT_INVALID', what })
  const flags: JudgingFlags = {}
  // Files are found next to the tenant's own.
  for (const name of ['system', 'policy', 'benign', 'artifact'] as const) {
    if (json.has(name)) flags[name] = resolve(dirname(file), json.string(name))
  }
  if (json.has('lexicon')) flags.lexicon = json.strings('lexicon').map((one) => (/[./]/.test(one) ? resolve(dirname(file), one) : one))
  return flags
}
