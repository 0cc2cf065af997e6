// Owns the alert options of `serve` in the library, and the queue between verdicts and deliveries.

import type { Logger } from 'pino'
import { DiskQueue, defaultQueueFolder } from '../alerts/disk-queue.js'
import { openDestinations, type DestinationOptions } from '../alerts/open-destinations.js'
import { checkBoolean, checkOptions, checkString, invalidArgument } from '../options.js'
import type { AlertingOptions } from './alerting.js'
import { RedisAlertQueue } from './redis/alert-queue.js'
import { RedisConnection } from './redis/connection.js'
import { Keys } from './redis/keys.js'

/** Who is told of alerts, and what. */
export interface AlertOptions extends DestinationOptions {
  /** Alerts carry the reply's sentence, the rule and the reasons in full. Default false: none of these words. */
  details?: boolean
  /** Folder that keeps alerts until they are delivered. Default: in Redis, where conversations are; else `~/.local/state/gabion/alerts`. */
  queue?: string
}

const OPTIONS = ['webhooks', 'slack', 'commands', 'allowPrivate', 'secret', 'dashboardUrl', 'details', 'queue'] as const

/**
 * Checks the options, and opens destinations and queue.
 *
 * @param redis - where conversations are stored; undefined for this process
 * @param dashboard - the URL of the service itself, once it is known
 * @throws GabionError `INVALID_ARGUMENT`, `UNAVAILABLE`
 */
export async function openAlerts(
  options: AlertOptions,
  redis: { readonly url: string; readonly prefix?: string } | undefined,
  logger: Logger,
  dashboard: () => string | null,
): Promise<AlertingOptions> {
  const { details = false, queue, ...given } = checkOptions('alerts', options, OPTIONS)
  for (const name of ['webhooks', 'slack', 'commands'] as const) checkStrings(`alerts.${name}`, given[name])
  checkBoolean('alerts.details', details)
  checkBoolean('alerts.allowPrivate', given.allowPrivate ?? false)
  const destinations = await openDestinations(given, dashboard)
  if (destinations.length === 0) throw invalidArgument('alerts', 'an object with webhooks, slack or commands', options)
  if (queue !== undefined) return { destinations, queue: new DiskQueue(checkString('alerts.queue', queue)), details }
  if (redis === undefined) return { destinations, queue: new DiskQueue(defaultQueueFolder()), details }
  const connection = await RedisConnection.open(redis.url, logger)
  return { destinations, queue: new RedisAlertQueue(connection, new Keys(redis.prefix ?? 'gabion')), details }
}

function checkStrings(name: string, values: unknown): void {
  if (values === undefined) return
  if (!Array.isArray(values)) throw invalidArgument(name, 'an array of strings', values)
  for (const [index, value] of values.entries()) checkString(`${name}[${index}]`, value)
}
