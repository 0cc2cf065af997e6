// Owns `gabion transcripts`: the forms of transcripts with an example each, or what is read from files, without a model.

import { Command } from 'commander'
import { sourceName } from '../files/lines.js'
import { CONVERSATION_FIELDS } from '../transcripts/conversation-name.js'
import { FORMS } from '../transcripts/forms/index.js'
import { readTranscript } from '../transcripts/transcript.js'
import { SPEAKER_NAMES } from '../transcripts/speakers.js'
import { finishCommand, type CommonOptions, type Context } from './command.js'
import { checkReadable } from './exchange-feed.js'
import { addTranscriptOptions, ReadingProblems, type TranscriptFlags } from './transcript-options.js'
import { count, printable, wrap } from './wording.js'

/** The command `transcripts`. */
export function transcriptsCommand(): Command {
  const command = new Command('transcripts')
    .summary('list the forms of transcripts, or show what is read from files')
    .description('Lists the forms of transcripts that are read, with an example each. With files: the exchanges that are read from them.')
    .argument('[file...]', 'transcripts to read, without judging them; - for standard input')
  return finishCommand<TranscriptFlags & CommonOptions>(
    addTranscriptOptions(command),
    [
      'gabion transcripts',
      'gabion transcripts --json conversations.json',
      "gabion transcripts tickets.csv --map 'conversation=ticket,role=author,text=body' --assistant-is agent,bot",
    ],
    (context, flags, files) => (files.length === 0 ? list(context) : show(context, flags, files)),
  )
}

async function list({ output }: Context): Promise<number> {
  const { bold, dim } = output.colors
  for (const { name, title, example } of FORMS) {
    if (output.json) await output.jsonLine({ name, title, example })
    else await output.line(`${bold(name)}  ${title}\n${example.replaceAll(/^/gm, '  ')}\n`)
  }
  if (output.json) return 0
  const rest = [
    'Files may be JSON, JSON lines or CSV (comma, semicolon or tab), in UTF-8, UTF-16 or Windows-1252. The form is found by looking.',
    `Conversations are separated by ${CONVERSATION_FIELDS.slice(0, 6).join(', ')} and the like, or by --conversation-field NAME.`,
    `Speakers: ${SPEAKER_NAMES.join(', ')}; others by --assistant-is NAMES.`,
    'Any other form: --map role=PATH,text=PATH,conversation=PATH,items=PATH[]',
  ]
  for (const line of rest.flatMap((text) => wrap(text, output.columns))) await output.line(dim(line))
  return 0
}

async function show({ output }: Context, flags: TranscriptFlags, files: readonly string[]): Promise<number> {
  const problems = new ReadingProblems(output, flags.strict === true)
  await checkReadable(files)
  const { bold, dim } = output.colors
  for (const file of files) {
    for await (const conversation of readTranscript(file, problems.options(flags))) {
      if (output.json) {
        await output.jsonLine({ file: sourceName(file), ...conversation })
        continue
      }
      const { id, exchanges, pending, notes } = conversation
      await output.line(`${bold(printable(id))}  ${dim(`${sourceName(file)}, ${count(exchanges.length, 'exchange')}`)}`)
      for (const [index, { user, assistant }] of exchanges.entries()) {
        await output.line(`  ${String(index + 1).padStart(3)}  user       ${firstOf(user, output.columns - 18)}`)
        await output.line(`       assistant  ${firstOf(assistant, output.columns - 18)}`)
      }
      if (pending.length > 0) await output.line(dim(`       ${count(pending.length, 'user message')} after the last reply`))
      for (const note of notes) output.warn(`${printable(id)}: ${printable(note)}`)
    }
  }
  return problems.close()
}

/** The beginning of a text, on one line. */
function firstOf(text: string, width: number): string {
  const line = printable(text.replaceAll(/\s+/g, ' ').trim())
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}
