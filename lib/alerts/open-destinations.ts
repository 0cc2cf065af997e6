// Owns the destinations of alerts as a caller names them. Knows no flags.

import type { AlertFormat } from './alert-body.js'
import type { AlertDestination } from './destination.js'

/** Who is told of alerts. */
export interface DestinationOptions {
  /** URLs that get each alert as JSON. */
  webhooks?: readonly string[]
  /** URLs that get each alert as Slack and compatible services read it. */
  slack?: readonly string[]
  /** Shell commands that are run for each alert, with its JSON on standard input. */
  commands?: readonly string[]
  /** Allows webhooks at addresses of this machine and of private networks. Default false. */
  allowPrivate?: boolean
  /** Signs deliveries, as in the Standard Webhooks specification: 24 bytes or more. Default: unsigned. */
  secret?: string
  /** URL of the dashboard, for links in alerts. Default: the service's own. */
  dashboardUrl?: string
}

/**
 * Opens the destinations.
 *
 * @param dashboard - the dashboard of the service itself, once it is known
 * @throws GabionError `INVALID_ARGUMENT`, also for a webhook at an address that may not be reached
 */
export async function openDestinations(options: DestinationOptions, dashboard: () => string | null): Promise<AlertDestination[]> {
  const { webhooks = [], slack = [], commands = [], allowPrivate = false, secret: given, dashboardUrl } = options
  const [{ Webhook }, { AlertCommand }, { SigningSecret }] = await Promise.all([
    import('./webhook.js'),
    import('./command.js'),
    import('./signature.js'),
  ])
  const secret = given === undefined ? null : new SigningSecret(given)
  const link = (): string | null => dashboardUrl ?? dashboard()
  const open = (urls: readonly string[], format: AlertFormat, name: string) =>
    urls.map((url, index) => new Webhook({ url, format, label: `${name} ${index + 1}`, secret, allowPrivate, dashboard: link }))
  const all = [...open(webhooks, 'json', 'webhook'), ...open(slack, 'slack', 'slack')]
  for (const webhook of all) await webhook.check()
  return [...all, ...commands.map((command, index) => new AlertCommand(command, `command ${index + 1}`, link))]
}
