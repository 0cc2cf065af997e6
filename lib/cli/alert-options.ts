// Owns the options of commands that tell of alerts: webhooks, commands, the queue in between.

import type { Command } from 'commander'
import type { AlertDestination } from '../alerts/destination.js'
import { GabionError } from '../errors.js'
import type { AlertingOptions } from '../server/alerting.js'
import { collect } from './wording.js'

/** Flags of {@link addAlertOptions}. */
export interface AlertFlags {
  alertWebhook?: string[]
  alertSlack?: string[]
  alertCommand?: string[]
  alertWebhookPrivate?: boolean
  dashboardUrl?: string
}

/** Flags of {@link addAlertQueueOptions}. */
export interface AlertQueueFlags extends AlertFlags {
  alertDetails?: boolean
  alertQueue?: string
}

/** Environment variable with the secret that signs deliveries. */
export const ALERT_SECRET = 'GABION_ALERT_SECRET'

/** Adds the options that say who is told. */
export function addAlertOptions(command: Command): Command {
  return command
    .option('--alert-webhook <url>', `POST each alert to this URL as JSON; repeatable (signed with the secret in ${ALERT_SECRET})`, collect)
    .option('--alert-slack <url>', 'POST each alert to this URL as Slack and compatible services read it; repeatable', collect)
    .option('--alert-command <command>', 'run this shell command for each alert, with its JSON on standard input; repeatable', collect)
    .option('--alert-webhook-private', 'allow webhooks at addresses of this machine and of private networks')
    .option('--dashboard-url <url>', "URL of the dashboard, for links in alerts (default: this service's own)")
}

/** Adds them with those of a queue. */
export function addAlertQueueOptions(command: Command): Command {
  return addAlertOptions(command)
    .option('--alert-details', "alerts carry the reply's sentence, the rule and the reasons in full (default: none of these words)")
    .option('--alert-queue <folder>', 'keep alerts here until they are delivered (default: in Redis, else in ~/.local/state/gabion/alerts)')
}

/**
 * The destinations of the flags.
 *
 * @param dashboard - the dashboard of the service itself, once it is known
 * @throws GabionError `INVALID_ARGUMENT`, also for a webhook at an address that may not be reached
 */
export async function alertDestinations(flags: AlertFlags, dashboard: () => string | null): Promise<AlertDestination[]> {
  const { alertWebhook = [], alertSlack = [], alertCommand = [], alertWebhookPrivate = false, dashboardUrl } = flags
  if (alertWebhook.length + alertSlack.length + alertCommand.length === 0) {
    if (alertWebhookPrivate) throw new GabionError('INVALID_ARGUMENT', '--alert-webhook-private requires --alert-webhook or --alert-slack')
    return []
  }
  const { openDestinations } = await import('../alerts/open-destinations.js')
  const secret = process.env[ALERT_SECRET] ?? ''
  return await openDestinations(
    {
      webhooks: alertWebhook,
      slack: alertSlack,
      commands: alertCommand,
      allowPrivate: alertWebhookPrivate,
      ...(secret !== '' && { secret }),
      ...(dashboardUrl !== undefined && { dashboardUrl }),
    },
    dashboard,
  )
}

/**
 * Who is told of a server's alerts, and the queue in between: in Redis if the conversations are there, else on disk.
 *
 * @param redis - opens a connection of the queue's own; null without Redis
 */
export async function alertingOf(
  flags: AlertQueueFlags,
  dashboard: () => string | null,
  redis: (() => Promise<AlertingOptions['queue']>) | null,
): Promise<AlertingOptions> {
  const destinations = await alertDestinations(flags, dashboard)
  const details = flags.alertDetails === true
  if (destinations.length === 0) {
    if (details || flags.alertQueue !== undefined)
      throw new GabionError(
        'INVALID_ARGUMENT',
        '--alert-details and --alert-queue require --alert-webhook, --alert-slack or --alert-command',
      )
    return { destinations, queue: null, details }
  }
  if (redis !== null && flags.alertQueue === undefined) return { destinations, queue: await redis(), details }
  const { DiskQueue, defaultQueueFolder } = await import('../alerts/disk-queue.js')
  return { destinations, queue: new DiskQueue(flags.alertQueue ?? defaultQueueFolder()), details }
}
