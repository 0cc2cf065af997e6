// Owns which addresses a webhook may reach: public ones only, unless the operator allows others. Names are resolved here, every address
// is checked, and the connection goes to an address that was checked: a name that resolves differently a moment later changes nothing.

import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'
import { GabionError } from '../errors.js'

/** Resolves a name to all its addresses, as `dns.lookup` does. */
export type Resolver = (
  hostname: string,
  options: { all: true; verbatim: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

// Everything outside is unassigned or has a meaning of its own, among them the translations of IPv4 (64:ff9b::/96).
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3')

/** Why an address may not be reached; null for a public one. */
export function refusalOf(address: string): string | null {
  if (!ipaddr.isValid(address)) return 'is not an address'
  // An address of IPv4 in the form of IPv6 is what it stands for.
  const parsed = ipaddr.process(address)
  const range = parsed.range()
  if (range !== 'unicast') return `is not public (${range})`
  if (parsed.kind() === 'ipv6' && !parsed.match(GLOBAL_UNICAST)) return 'is not public (not global unicast)'
  return isOwn(parsed.toString()) ? 'is an address of this machine' : null
}

function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((own) => ipaddr.isValid(own.address) && ipaddr.process(own.address).toString() === address),
  )
}

/**
 * A `lookup` for sockets that refuses a name if any of its addresses may not be reached. The socket connects to what it returns, so
 * there is no time between check and use.
 */
export function guardedLookup(resolve: Resolver = dnsLookup): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { all: true, verbatim: true }, (error, addresses) => {
      if (error !== null) {
        done(error, [])
        return
      }
      const refused = addresses.map(({ address }) => refusalAt(hostname, address)).find((found) => found !== null)
      const [first] = addresses
      if (refused !== undefined || first === undefined) done(refused ?? new Error(`${hostname} has no address`), [])
      else if (options.all === true) done(null, addresses)
      else done(null, first.address, first.family)
    })
  }
}

/** Sockets look up names only, so an address in a URL is checked before the connection. */
export function checkLiteral(hostname: string): void {
  const host = hostname.replace(/^\[|\]$/g, '')
  const refused = isIP(host) === 0 ? null : refusalAt(hostname, host)
  if (refused !== null) throw refused
}

function refusalAt(hostname: string, address: string): GabionError | null {
  const reason = refusalOf(address)
  if (reason === null) return null
  const where = hostname.replace(/^\[|\]$/g, '') === address ? address : `${hostname}: ${address}`
  return new GabionError('INVALID_ARGUMENT', `alerts may not be sent to ${where}, which ${reason}; --alert-webhook-private allows it`)
}
