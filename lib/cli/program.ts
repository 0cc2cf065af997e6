// Owns the `gabion` program: commands, help, usage errors. Each command is in its own file.

import { Command } from 'commander'
import { adapterCommand } from './adapter.js'
import { alertCommand } from './alert.js'
import { benchCommand } from './bench.js'
import { classifyCommand } from './classify.js'
import { compareCommand } from './compare.js'
import { costCommand } from './cost.js'
import { detectorCommand } from './detector.js'
import { doctorCommand } from './doctor.js'
import { embedCommand } from './embed.js'
import { EXIT_USAGE } from './failure.js'
import { modelCommand } from './model.js'
import { monitorCommand } from './monitor.js'
import { pcaCommand } from './pca.js'
import { proxyCommand } from './proxy.js'
import { policyCommand } from './policy.js'
import { transcriptsCommand } from './transcripts.js'
import { serveCommand } from './serve.js'
import { workerCommand } from './worker.js'
import { packageVersion } from '../package-folder.js'

const EXAMPLES = `
Examples:
  gabion monitor conversation.json         judge each exchange of a conversation
  gabion embed "How do I reset my password?"
  gabion doctor                            check the installation

"gabion COMMAND --help" explains a command. Exit codes: 0 done, 1 failed or a
part of the input was not read, 2 wrong usage or bad input, 3 an alert and
--fail-on-alert, 130 interrupted, 141 stdout was closed.
`

/** Builds the program. */
export function buildProgram(): Command {
  const program = new Command('gabion')
    .description('Local sentence embeddings, and a detector that monitors conversations for guardrail erosion.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
  for (const command of [
    monitorCommand(),
    transcriptsCommand(),
    embedCommand(),
    classifyCommand(),
    pcaCommand(),
    adapterCommand(),
    compareCommand(),
    costCommand(),
    detectorCommand(),
    policyCommand(),
    modelCommand(),
    serveCommand(),
    workerCommand(),
    proxyCommand(),
    alertCommand(),
    doctorCommand(),
    benchCommand(),
  ])
    program.addCommand(command)
  for (const command of everyCommand(program)) {
    command.exitOverride()
    command.helpOption('-h, --help', 'show help')
    command.helpCommand(false)
    command.configureHelp({ subcommandTerm: (sub) => sub.name(), styleTitle: (title) => `\x1b[1m${title}\x1b[22m` })
    command.configureOutput({
      outputError: (text, write) => {
        write(asCoded(text))
      },
    })
  }
  return program
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap((sub) => everyCommand(sub))]
}

/** commander's usage errors in gabion's format: one line with a code. */
function asCoded(text: string): string {
  if (!text.startsWith('error: ')) return text
  const [first = '', ...more] = text.trimEnd().split('\n')
  return `${[first.replace('error: ', 'error: INVALID_ARGUMENT: '), ...more].join(' ')}\n`
}

/** Runs the program with the arguments after the script's name; resolves with the exit code, rejects with the failure. */
export async function run(args: readonly string[]): Promise<number> {
  const program = buildProgram()
  if (args.length === 0) {
    program.outputHelp({ error: true })
    return EXIT_USAGE
  }
  await program.parseAsync(args, { from: 'user' })
  return Number(process.exitCode ?? 0)
}
