// Owns `gabion alert`: sends a test alert to the destinations that a server would tell.

import { Command } from 'commander'
import { testAlert } from '../alerts/new-alert.js'
import { GabionError } from '../errors.js'
import { addAlertOptions, alertDestinations, ALERT_SECRET, type AlertFlags } from './alert-options.js'
import { finishCommand, type CommonOptions, type Context } from './command.js'

interface TestFlags extends AlertFlags, CommonOptions {}

/** The command `alert` with its subcommand. */
export function alertCommand(): Command {
  return new Command('alert')
    .summary('try the delivery of alerts')
    .description('Alerts go to webhooks and commands of "serve", "proxy", "worker" and "monitor --follow".')
    .addCommand(testCommand())
}

function testCommand(): Command {
  const command = new Command('test')
    .summary('send one alert to each destination')
    .description('Sends an alert of the conversation "gabion-alert-test" to each destination, once, and says what each answered.')
  return finishCommand<TestFlags>(
    addAlertOptions(command),
    ['gabion alert test --alert-webhook https://hooks.example/alerts', "gabion alert test --alert-command 'jq -r .reasons[0] | wall'"],
    run,
  )
}

async function run({ output, signal }: Context, flags: TestFlags): Promise<number> {
  const destinations = await alertDestinations(flags, () => null)
  if (destinations.length === 0)
    throw new GabionError('INVALID_ARGUMENT', 'say whom to tell: --alert-webhook, --alert-slack or --alert-command')
  if ((process.env[ALERT_SECRET] ?? '') === '') output.note(`deliveries are not signed: there is no secret in ${ALERT_SECRET}`)
  const alert = testAlert(new Date())
  let failed = 0
  for (const destination of destinations) {
    const problem = await destination.deliver(alert, signal).then(
      () => null,
      (error: unknown) => (error as Error).message,
    )
    await destination.close()
    if (problem !== null) failed++
    const { label } = destination
    if (output.json) await output.jsonLine({ destination: label, id: alert.id, delivered: problem === null, reason: problem })
    else await output.line(`${label}: ${problem === null ? `delivered, id ${alert.id}` : `not delivered: ${problem}`}`)
  }
  return failed === 0 ? 0 : 1
}
