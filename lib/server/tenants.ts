// Owns the tenants of a server: by what the conversations of each are judged. Knows no protocol but the name of the header.

import { GabionError } from '../errors.js'
import type { Monitor } from '../monitor/monitor.js'
import type { NoDetector } from './no-detector.js'

/** By what conversations are judged. */
export interface Tenant {
  readonly monitor: Monitor | NoDetector
  /** System prompt of the conversations that have none of their own. */
  readonly system: string | null
}

/** Names the tenant of a request; the path prefix `/tenants/NAME` does the same. */
export const TENANT_HEADER = 'x-gabion-tenant'

const PREFIX = /^\/tenants\/([^/?#]+)(\/.*)$/

/** The tenants, and what judges the conversations of none. */
export class Tenants {
  readonly main: Tenant
  readonly #named: ReadonlyMap<string, Tenant>

  constructor(main: Tenant, named: ReadonlyMap<string, Tenant> = new Map()) {
    this.main = main
    this.#named = named
  }

  /** Whether a tenant has this name. */
  knows(name: string): boolean {
    return this.#named.has(name)
  }

  /** @throws GabionError `INVALID_ARGUMENT` for a name that no tenant has */
  of(name: string | null): Tenant {
    const tenant = name === null ? this.main : this.#named.get(name)
    if (tenant === undefined) throw new GabionError('INVALID_ARGUMENT', `there is no tenant ${JSON.stringify((name ?? '').slice(0, 60))}`)
    return tenant
  }

  /**
   * The tenant's name in a request's headers or metadata; null for none.
   *
   * @throws GabionError `INVALID_ARGUMENT` for a name that no tenant has
   */
  nameIn(headers: object): string | null {
    const value = (headers as Readonly<Record<string, string | string[] | undefined>>)[TENANT_HEADER]
    const name = Array.isArray(value) ? value[0] : value
    if (name === undefined || name === '') return null
    this.of(name)
    return name
  }

  /** Whether an id is that of a tenant's conversation: it begins with its name. */
  reserves(id: string): boolean {
    return id.includes('/') && this.#named.has(id.slice(0, id.indexOf('/')))
  }

  /** The tenant and the rest of a path below `/tenants/NAME`; null for any other path, and where there are no tenants. */
  split(url: string): { name: string; rest: string } | null {
    const [, name, rest] = PREFIX.exec(url) ?? []
    if (this.#named.size === 0 || name === undefined || rest === undefined) return null
    try {
      return { name: decodeURIComponent(name), rest }
    } catch {
      return null
    }
  }
}

/** The id under which a tenant's conversation is stored: tenants may use the same ids. */
export function idOfTenant(tenant: string | null, id: string): string {
  return tenant === null ? id : `${tenant}/${id}`
}
