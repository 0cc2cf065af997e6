// Owns the models of a server: several embedders by their names, of which the first is the default and the one that judges.

import type { CacheStats } from '../embedding/vector-cache.js'
import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'

/** The models, in their order. */
export class ServedModels {
  /** The default, whose vectors the detector and the projection take. */
  readonly main: Embedder
  readonly all: readonly Embedder[]
  readonly names: readonly string[]

  /** @throws GabionError `INVALID_ARGUMENT` for two models of one name */
  constructor(main: Embedder, more: readonly Embedder[] = []) {
    this.main = main
    this.all = [main, ...more]
    this.names = this.all.map(({ info }) => info.model)
    const twice = this.names.find((name, index) => this.names.indexOf(name) !== index)
    if (twice !== undefined) throw new GabionError('INVALID_ARGUMENT', `two models are named ${twice}: requests could not tell them apart`)
  }

  /**
   * The model of this name.
   *
   * @throws GabionError `NOT_FOUND`
   */
  named(name: string): Embedder {
    const found = this.all.find(({ info }) => info.model === name)
    if (found !== undefined) return found
    const known = this.names.map((one) => JSON.stringify(one)).join(', ')
    throw new GabionError('NOT_FOUND', `there is no model ${JSON.stringify(name.slice(0, 200))} here; served: ${known}`)
  }

  /**
   * The model that a request means: one that says nothing gets the first, and where there is one only, its name does not matter, so that
   * programs written for another service work unchanged.
   *
   * @throws GabionError `NOT_FOUND` for a name that none of several models has
   */
  requested(name: string | null | undefined): Embedder {
    return this.all.length === 1 || name === null || name === undefined || name === '' ? this.main : this.named(name)
  }

  /** The vector caches of all models together. */
  get cacheStats(): CacheStats {
    const sum = (field: keyof CacheStats): number => this.all.reduce((total, { cacheStats }) => total + cacheStats[field], 0)
    return { hits: sum('hits'), misses: sum('misses'), entries: sum('entries'), bytes: sum('bytes'), maxBytes: sum('maxBytes') }
  }
}
