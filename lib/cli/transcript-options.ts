// Owns the options of commands that read transcripts, and what they say about input that they cannot read.

import { Option, type Command } from 'commander'
import type { GabionError } from '../errors.js'
import { TRANSCRIPT_FORMATS, type TranscriptOptions } from '../transcripts/options.js'
import type { Output } from './output.js'
import { collect, count, printable } from './wording.js'

/** Flags of commands that read transcripts. */
export interface TranscriptFlags {
  format?: string
  map?: string
  assistantIs?: string[]
  conversationField?: string
  allBranches?: boolean
  strict?: boolean
}

/** Adds them. */
export function addTranscriptOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--format <form>', `form of the transcripts (default: found by looking; "gabion transcripts" lists them)`).choices(
        TRANSCRIPT_FORMATS,
      ),
    )
    .option('--map <fields>', 'another form: role=author.type,text=body,conversation=ticket.id,items=comments[] (paths, or columns of CSV)')
    .option(
      '--assistant-is <names>',
      "the assistant's names in the transcripts, such as agent,bot; all others are users'; repeatable",
      collect,
    )
    .option('--conversation-field <name>', 'the field that tells conversations apart')
    .option('--all-branches', "also read a chat's branches that were edited or regenerated away")
    .option('--strict', 'end at the first line or entry that cannot be read')
}

/** Names printed; a file of another form would fill the terminal. */
const MAX_PRINTED = 20

/** What could not be read: named on stderr and counted. */
export class ReadingProblems {
  readonly #output: Output
  readonly #isStrict: boolean
  #found = 0

  constructor(output: Output, isStrict: boolean) {
    this.#output = output
    this.#isStrict = isStrict
  }

  get found(): number {
    return this.#found
  }

  /** The options of reading by the flags. */
  options({ format, map, assistantIs, conversationField, allBranches }: TranscriptFlags): TranscriptOptions {
    return {
      ...(format !== undefined && { format }),
      ...(map !== undefined && { map }),
      ...(assistantIs !== undefined && { assistantIs }),
      ...(conversationField !== undefined && { conversationField }),
      ...(allBranches !== undefined && { allBranches }),
      onProblem: (problem) => {
        this.#report(problem)
      },
      onNote: (note) => {
        this.#output.note(printable(note))
      },
    }
  }

  /** Says how many there were; returns the exit code. */
  close(): number {
    if (this.#found === 0) return 0
    const more = this.#found > MAX_PRINTED ? `, the first ${String(MAX_PRINTED)} are named above` : ''
    this.#output.note(`not read: ${count(this.#found, 'problem')}${more}`)
    return 1
  }

  #report(problem: GabionError): void {
    if (this.#isStrict) throw problem
    this.#found++
    if (this.#found <= MAX_PRINTED) process.stderr.write(`error: ${problem.code}: ${printable(problem.message)}\n`)
  }
}
