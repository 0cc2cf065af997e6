// Owns the pairing of an embedder with a detector, and the conversations monitored with it.
// Knows detectors by name and interface, no formulas, vectors or files.

import { LRUCache } from 'lru-cache'
import { loadClassicDetector, type ClassicOptions } from '../detection/classic-artifact.js'
import type { ClassicState, ClassicVerdict } from '../detection/classic.js'
import type { Detector, DetectorVerdict } from '../detection/detector.js'
import type { ErosionState, ErosionVerdict } from '../detection/erosion/erosion.js'
import { loadErosionDetector, type ErosionOptions } from '../detection/erosion/load-erosion.js'
import type { GuardState, GuardVerdict } from '../detection/guard/guard-detector.js'
import { EscalatingDetector } from '../detection/escalation/escalating-detector.js'
import { JudgeClient, type JudgeOptions } from '../detection/escalation/judge-client.js'
import { loadClassifierDetector, type ClassifierDetectorOptions } from '../detection/guard/load-classifier.js'
import { GUARD_MODES, loadGuardDetector, type GuardMode, type GuardOptions } from '../detection/guard/load-guard.js'
import type { EmbedOptions } from '../embedding/embedder-options.js'
import type { Embedder } from '../embedding/embedder.js'
import { checkInteger, checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'
import { Conversation, type Instructions } from './conversation.js'
import { readSavedConversation } from './saved-conversation.js'

/** Names of the bundled detectors. */
export const DETECTORS = ['guard', 'erosion', 'classic'] as const

/** Name of a bundled detector. */
export type DetectorName = (typeof DETECTORS)[number]

/** The default detector; `erosion` does not see a rule broken, see docs/detector.md. */
export const DEFAULT_DETECTOR: DetectorName = 'guard'

/** Conversations in memory: some kB each with the bundled detectors. */
const DEFAULT_MAX_CONVERSATIONS = 10_000

/** The part of an embedder that a monitor uses. */
export type MonitorEmbedder = Pick<Embedder, 'embedBatch' | 'embedWindows' | 'info'> & {
  embed(text: string, options?: EmbedOptions): Promise<Float32Array>
}

/** Options of {@link Monitor.load}. */
export interface MonitorOptions<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  /**
   * Computes the vectors; the caller disposes of it. Default: the bundled model, loaded for this monitor and released by
   * {@link Monitor.dispose}.
   */
  embedder?: MonitorEmbedder
  /**
   * A bundled detector's name, a classifier's folder with its labels of harm, or a custom detector. Default: that of the only settings
   * given (`erosion` with `guard: 'off'`), else `guard`.
   */
  detector?: DetectorName | ClassifierDetectorOptions | Detector<State, Verdict>
  /** Settings of the `classic` detector. */
  classic?: ClassicOptions
  /** Settings of the `erosion` detector, or of the guard's first stage. */
  erosion?: ErosionOptions
  /** Which exchanges the guard reads, or its settings; `off` judges by `erosion` alone. */
  guard?: GuardMode | GuardOptions
  /** A model of your own that is asked about elevated exchanges, which are sent to it. Default: none; nothing leaves the process. */
  judge?: JudgeOptions
  /** Maximum of conversations that {@link Monitor.conversation} stores; the least recently used are evicted first. Default 10,000. */
  maxConversations?: number
}

/** The part of a cache that is used here. */
type ConversationCache<Value> = Pick<Map<string, Value>, 'get' | 'delete' | 'clear' | 'size'> & { set(id: string, value: Value): unknown }

/** Monitors conversations with one embedder and one detector. */
export class Monitor<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  readonly embedder: MonitorEmbedder
  readonly detector: Detector<State, Verdict>
  readonly #conversations: ConversationCache<Conversation<State, Verdict>>

  /** What was loaded for this monitor, not a caller's. */
  readonly #own: readonly (() => void)[]

  private constructor(
    embedder: MonitorEmbedder,
    detector: Detector<State, Verdict>,
    own: readonly (() => void)[],
    maxConversations: number,
  ) {
    this.#conversations = new LRUCache({ max: maxConversations })
    this.embedder = embedder
    this.detector = detector
    this.#own = own
  }

  /**
   * Loads a detector, and checks that its projection fits the embedder's vectors.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID`, `PROJECTION_MISMATCH`
   */
  static async load(
    options: MonitorOptions & ({ detector: 'erosion' } | { guard: 'off' } | { erosion: ErosionOptions; detector?: never; guard?: never }),
  ): Promise<Monitor<ErosionState, ErosionVerdict>>
  static async load(
    options: MonitorOptions &
      (
        | { detector: 'guard' }
        | { detector: ClassifierDetectorOptions }
        | { detector?: 'guard'; guard: 'always' | 'suspicious' | GuardOptions }
      ),
  ): Promise<Monitor<GuardState, GuardVerdict>>
  static async load(
    options: MonitorOptions & ({ detector: 'classic' } | { detector?: 'classic'; classic: ClassicOptions }),
  ): Promise<Monitor<ClassicState, ClassicVerdict>>
  static async load<State, Verdict extends DetectorVerdict>(
    options: MonitorOptions<State, Verdict> & { detector: Detector<State, Verdict> },
  ): Promise<Monitor<State, Verdict>>
  static async load(options?: MonitorOptions): Promise<Monitor>
  static async load(options?: MonitorOptions): Promise<Monitor> {
    const given = checkOptions('options', options, ['embedder', 'detector', 'classic', 'erosion', 'guard', 'judge', 'maxConversations'])
    const requested = given.detector ?? detectorOf(given)
    if (given.embedder !== undefined) checkEmbedder(given.embedder)
    refuseForeignSettings(requested, given)
    const maxConversations = checkInteger('maxConversations', given.maxConversations ?? DEFAULT_MAX_CONVERSATIONS, 1)
    const judge = given.judge === undefined ? null : new JudgeClient(given.judge)
    if (isDetector(requested)) checkDetector(requested)
    else if (typeof requested !== 'object') checkOneOf('detector', requested, DETECTORS)
    const own = given.embedder === undefined ? await (await import('../embedding/embedder.js')).Embedder.load() : null
    const embedder = given.embedder ?? own!
    const owned: (() => void)[] = own === null ? [] : [() => own.dispose()]
    try {
      const detector = isDetector(requested)
        ? requested
        : typeof requested === 'object'
          ? await loadClassifierDetector(requested)
          : await loadByName(embedder, requested, given)
      if (!isDetector(requested)) owned.unshift(() => detector.dispose?.())
      // An empty batch computes nothing, but checks that the projection fits the model.
      if (detector.projection !== null) await embedder.embedBatch([], { projection: detector.projection })
      const judging = judge === null ? detector : new EscalatingDetector(detector, judge)
      return new Monitor(embedder, judging, owned, maxConversations)
    } catch (error) {
      for (const release of owned) release()
      throw error
    }
  }

  /** Stored conversations. */
  get size(): number {
    return this.#conversations.size
  }

  /**
   * Returns the conversation of an id, and begins it if there is none. It is stored until {@link forget}, or until `maxConversations`
   * others have been used since. To keep it longer, save it with `toJSON`, or hold the object.
   *
   * @param instructions - system prompt and rules, in force from the next exchange on; those that are omitted stay as they are
   * @throws GabionError `INVALID_ARGUMENT`
   */
  conversation(id: string, instructions?: Instructions): Conversation<State, Verdict> {
    const stored = this.#conversations.get(checkString('id', id))
    if (stored !== undefined) return stored.instruct(instructions ?? {})
    const begun = this.begin(id, instructions)
    this.#conversations.set(id, begun)
    return begun
  }

  /**
   * Begins a conversation that is not stored here: it lives as long as the caller holds it.
   *
   * @throws GabionError `INVALID_ARGUMENT`
   */
  begin(id: string, instructions?: Instructions): Conversation<State, Verdict> {
    return new Conversation(this.embedder, this.detector, checkString('id', id)).instruct(instructions ?? {})
  }

  /**
   * Restores a conversation saved with `toJSON`, and replaces one of the same id.
   *
   * @param instructions - in place of those that were saved
   * @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID` with the field, also when it was saved with another detector
   */
  restore(saved: unknown, instructions?: Instructions): Conversation<State, Verdict> {
    const { id, ...from } = readSavedConversation(saved, this.detector)
    const restored = new Conversation(this.embedder, this.detector, id, from).instruct(instructions ?? {})
    this.#conversations.set(id, restored)
    return restored
  }

  /** Removes a stored conversation; false if there was none of that id. */
  forget(id: string): boolean {
    return this.#conversations.delete(checkString('id', id))
  }

  /** Removes all conversations, and releases embedder and detector if they were loaded for this monitor. Idempotent. */
  dispose(): void {
    this.#conversations.clear()
    for (const release of this.#own) release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** The detector that is meant by the settings given. */
function detectorOf({ classic, erosion, guard }: Partial<MonitorOptions>): DetectorName {
  if (classic !== undefined) return 'classic'
  if (guard === 'off' || (guard === undefined && erosion !== undefined)) return 'erosion'
  return DEFAULT_DETECTOR
}

/** Settings without effect are errors. */
function refuseForeignSettings(requested: unknown, given: Partial<MonitorOptions>): void {
  for (const name of DETECTORS) {
    const isFirstStage = name === 'erosion' && requested === 'guard' && guardOptionsOf(given).mode === 'suspicious'
    const isOff = name === 'guard' && given.guard === 'off' && requested === 'erosion'
    if (requested !== name && !isFirstStage && !isOff && given[name] !== undefined)
      throw invalidArgument(name, `omitted, since detector is not '${name}'`, given[name])
  }
}

function guardOptionsOf({ guard = {} }: Partial<MonitorOptions>): GuardOptions {
  if (typeof guard !== 'string') return guard
  const mode = checkOneOf('guard', guard, GUARD_MODES)
  if (mode === 'off') throw invalidArgument('guard', "'always' or 'suspicious', since detector is 'guard'", guard)
  return { mode }
}

function loadByName(embedder: MonitorEmbedder, name: DetectorName, given: Partial<MonitorOptions>): Promise<Detector> {
  switch (name) {
    case 'guard':
      return loadGuardDetector(embedder, guardOptionsOf(given), given.erosion)
    case 'classic':
      return loadClassicDetector(embedder, given.classic)
    case 'erosion':
      return loadErosionDetector(embedder, given.erosion)
  }
}

function checkEmbedder(embedder: unknown): void {
  if (typeof embedder !== 'object' || embedder === null || !('embedBatch' in embedder))
    throw invalidArgument('embedder', 'an Embedder', embedder)
}

/** What else is an object is a classifier with its labels. */
function isDetector(requested: DetectorName | ClassifierDetectorOptions | Detector): requested is Detector {
  if ((requested as unknown) === null) throw invalidArgument('detector', 'a name, { classifier, unsafe } or a Detector', requested)
  return typeof requested === 'object' && !('classifier' in requested)
}

function checkDetector(detector: Detector): void {
  checkString('detector.name', detector.name)
  checkString('detector.fingerprint', detector.fingerprint)
  for (const method of ['start', 'judge', 'checkState'] as const) {
    if (!(method in detector)) throw invalidArgument(`detector.${method}`, 'a function', undefined)
  }
  if ((detector.projection as unknown) === undefined)
    throw invalidArgument('detector.projection', 'a Projection or null', detector.projection)
}
