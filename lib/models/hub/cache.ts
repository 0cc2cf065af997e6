// The hub's cache on disk, in the layout that Hugging Face's own tools share:
//
//   models--OWNER--NAME/refs/REVISION         text: the commit of a branch or tag at the last request
//                       blobs/ETAG            contents, each once
//                       snapshots/COMMIT/…    the repository's tree, each file a link to its blob

import { copyFile, link, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { nodeCrypto } from '../../lazy.js'
import { GabionError } from '../../errors.js'
import { writeWhole } from '../../files/pending-file.js'
import { isCommit, type HubFile } from './repository.js'
import type { HubSettings } from './settings.js'

const NO_LINKS = ['ERR_ACCESS_DENIED', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EACCES']

/** One repository's folder in the cache. */
export class RepositoryCache {
  readonly folder: string
  /** Folder of lock files. */
  readonly locks: string
  readonly #symlinks: boolean

  constructor(settings: HubSettings, id: string) {
    const name = `models--${id.replace('/', '--')}`
    this.folder = join(settings.cacheFolder, name)
    this.locks = join(settings.cacheFolder, '.locks', name)
    this.#symlinks = settings.symlinks
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag)
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit)
  }

  /** The commit of a revision at the last request; null if there was none. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision
    const text = await readFile(this.#ref(revision), 'utf8').catch(() => '')
    return isCommit(text.trim()) ? text.trim() : null
  }

  /** Branches and tags that were asked for before. */
  async revisions(): Promise<string[]> {
    const found = await readdir(join(this.folder, 'refs'), { withFileTypes: true, recursive: true }).catch(() => [])
    return found
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(join(this.folder, 'refs'), join(parentPath, name)))
  }

  /** Stores the commit of a revision. */
  async keepCommit(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return
    const file = this.#ref(revision)
    await mkdir(dirname(file), { recursive: true })
    await writeWhole(file, commit)
  }

  /** Whether a snapshot has a file of the right size. */
  async has(commit: string, file: HubFile): Promise<boolean> {
    return (await sizeOf(join(this.snapshot(commit), file.path))) === file.bytes
  }

  /** Whether the content is complete. */
  async hasBlob({ etag, bytes }: HubFile): Promise<boolean> {
    return (await sizeOf(this.blob(etag))) === bytes
  }

  /** Adds a blob to a snapshot: as a link, or as a separate file where links are disabled or refused. */
  async place(commit: string, { path, etag }: HubFile): Promise<void> {
    const place = join(this.snapshot(commit), path)
    await mkdir(dirname(place), { recursive: true })
    const target = relative(dirname(place), this.blob(etag))
    if (this.#symlinks && (await readlink(place).catch(() => null)) === target) return
    const staging = `${place}.${nodeCrypto().randomUUID()}`
    try {
      if (!this.#symlinks || !(await tryLink(target, staging))) await copyBlob(this.blob(etag), staging)
      await rename(staging, place)
    } finally {
      await rm(staging, { force: true })
    }
  }

  #ref(revision: string): string {
    if (revision === '' || revision.split('/').some((part) => part === '' || part === '.' || part === '..') || /[\\\0]/.test(revision)) {
      throw new GabionError('INVALID_ARGUMENT', `${JSON.stringify(revision)} cannot be a revision`)
    }
    return join(this.folder, 'refs', revision)
  }
}

async function tryLink(target: string, place: string): Promise<boolean> {
  try {
    await symlink(target, place)
    return true
  } catch (error) {
    if (NO_LINKS.includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

/** A hard link where the file system supports it, to save space; else a copy. */
async function copyBlob(blob: string, place: string): Promise<void> {
  await link(blob, place).catch(() => copyFile(blob, place))
}

async function sizeOf(file: string): Promise<number | null> {
  return stat(file).then(
    (found) => (found.isFile() ? found.size : null),
    () => null,
  )
}
