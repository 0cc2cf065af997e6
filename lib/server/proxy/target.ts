// Owns the address that a proxied request goes to: the configured upstream's origin and base path, the request's path and query.
// Knows no connection.

import { GabionError } from '../../errors.js'

// How often a client's encoding is undone in search of dot segments; some servers decode more than once.
const MAX_DECODINGS = 3

/**
 * The URL of a service from the command line.
 *
 * @throws GabionError `INVALID_ARGUMENT`
 */
export function parseUpstream(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : null
  const plain = base !== null && /^https?:$/.test(base.protocol) && `${base.username}${base.password}${base.search}${base.hash}` === ''
  if (!plain) {
    throw new GabionError(
      'INVALID_ARGUMENT',
      `--upstream must be the URL of a service without user info, query and fragment, such as http://127.0.0.1:8000, got ${JSON.stringify(withoutPassword(url))}`,
    )
  }
  return base
}

/**
 * The address of a request at the upstream. Only the origin form of a request target is taken: an absolute path with a query.
 * Nothing of the target can name another host or lead out of the upstream's base path.
 *
 * @param target - the request target as it stands in the request line
 * @throws GabionError `INVALID_ARGUMENT` for any other form
 */
export function targetOf(upstream: URL, target: string): URL {
  const reason = refusalOf(target)
  if (reason !== null) {
    throw new GabionError('INVALID_ARGUMENT', `the request target ${JSON.stringify(target.slice(0, 100))} ${reason}`)
  }
  const [path = '', ...query] = target.split('?')
  const prefix = basePathOf(upstream)
  const address = new URL(upstream.origin)
  // Setters of a URL cannot change its origin, whatever they are given.
  address.pathname = prefix + path
  address.search = query.join('?')
  assertOrigin(upstream, address)
  if (!address.pathname.startsWith(`${prefix}/`)) throw new GabionError('INTERNAL', 'a proxied request left the path of the upstream')
  return address
}

/** @throws GabionError `INTERNAL` when an address is not one of the upstream: no connection may be made to it */
export function assertOrigin(upstream: URL, address: URL): void {
  if (address.origin !== upstream.origin) {
    throw new GabionError('INTERNAL', `a proxied request would have gone to ${address.origin} instead of ${upstream.origin}`)
  }
}

/** Why a target is refused; null for one that is taken. */
function refusalOf(target: string): string | null {
  if (!target.startsWith('/')) return 'must be an absolute path; absolute URLs, authorities and * are not proxied'
  if (/^\/[/\\]/.test(target)) return 'must not begin with two slashes'
  // The URL parser would drop some control characters and read a backslash as a slash.
  if (/[^\x21-\x7e]|[\\#]/.test(target)) return 'must be printable ASCII without backslashes and without a fragment'
  const path = target.split('?')[0] ?? ''
  if (hasDotSegment(path)) return 'must not have dot segments'
  return null
}

function hasDotSegment(path: string): boolean {
  let decoded = path
  for (let round = 0; round <= MAX_DECODINGS; round++) {
    // What stands behind a semicolon in a segment is a parameter for some servers.
    if (decoded.split(/[/\\]/).some((segment) => /^\.{1,2}(;|$)/.test(segment))) return true
    const next = decodeOnce(decoded)
    if (next === decoded) return false
    decoded = next
  }
  return false
}

/** Byte by byte, so that broken UTF-8 and lone percent signs are no obstacle. */
function decodeOnce(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

/** An upstream that ends in /v1 is the form in which clients name theirs; request paths begin with it already. */
function basePathOf(upstream: URL): string {
  return upstream.pathname.replace(/\/(v1\/?)?$/, '')
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//…@')
}
