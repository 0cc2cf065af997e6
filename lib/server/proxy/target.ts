// Owns the URL of a proxied request: the configured upstream's origin and base path, the request's path and query.
// Knows no connection.

import { GabionError } from '../../errors.js'

// Percent-decoding passes in search of dot segments, since some servers decode more than once.
const MAX_DECODINGS = 3

/**
 * Parses the upstream's URL from the command line.
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
 * The upstream URL of a request. Only the origin form of a request target is accepted: an absolute path with a query.
 * No target can change the host or leave the upstream's base path.
 *
 * @param target - the request target as in the request line
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
  // These setters of URL cannot change its origin, whatever the value.
  address.pathname = prefix + (hasVersion(prefix) ? path.replace(/^\/v1(?=\/)/, '') : path)
  address.search = query.join('?')
  assertOrigin(upstream, address)
  if (!address.pathname.startsWith(`${prefix}/`)) throw new GabionError('INTERNAL', 'a proxied request left the path of the upstream')
  return address
}

/** @throws GabionError `INTERNAL` for an address outside the upstream's origin: no connection may be made to it */
export function assertOrigin(upstream: URL, address: URL): void {
  if (address.origin !== upstream.origin) {
    throw new GabionError('INTERNAL', `a proxied request would have gone to ${address.origin} instead of ${upstream.origin}`)
  }
}

/** The reason to refuse a target; null for a valid one. */
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
    // Some servers treat the part of a segment after a semicolon as a parameter.
    if (decoded.split(/[/\\]/).some((segment) => /^\.{1,2}(;|$)/.test(segment))) return true
    const next = decodeOnce(decoded)
    if (next === decoded) return false
    decoded = next
  }
  return false
}

/** Decodes byte by byte, so that malformed UTF-8 and lone percent signs do no harm. */
function decodeOnce(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

/** A trailing /v1, as in clients' base URLs, is dropped: request paths begin with it already. */
function basePathOf(upstream: URL): string {
  return upstream.pathname.replace(/\/(v1\/?)?$/, '')
}

/** A base path with its own version, such as `/v1beta/openai`, takes the place of the `/v1` of clients' base URLs. */
function hasVersion(prefix: string): boolean {
  return /\/v\d+[a-z\d]*(\/|$)/.test(prefix)
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//…@')
}
