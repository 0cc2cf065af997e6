// Owns the pairing of an embedder with a detector, and the conversations that are watched with it.
// Knows detectors by name and by interface; formulas, vectors and files are below.

import { LRUCache } from 'lru-cache'
import { loadClassicDetector, type ClassicOptions } from '../detection/classic-artifact.js'
import type { ClassicState, ClassicVerdict } from '../detection/classic.js'
import type { Detector, DetectorVerdict } from '../detection/detector.js'
import type { ErosionState, ErosionVerdict } from '../detection/erosion/erosion.js'
import { loadErosionDetector, type ErosionOptions } from '../detection/erosion/load-erosion.js'
import type { Embedder } from '../embedding/embedder.js'
import { checkInteger, checkOneOf, checkOptions, checkString, invalidArgument } from '../options.js'
import { Conversation } from './conversation.js'
import { readSavedConversation } from './saved-conversation.js'

/** The detectors that can be had by name. */
export const DETECTORS = ['erosion', 'classic'] as const

/** Name of a detector that comes with gabion. */
export type DetectorName = (typeof DETECTORS)[number]

/** The detector of a monitor that asks for none. */
export const DEFAULT_DETECTOR: DetectorName = 'erosion'

/** Conversations that a monitor keeps: some kB each with the bundled detectors. */
const DEFAULT_MAX_CONVERSATIONS = 10_000

/** What a monitor needs of an embedder. */
export type MonitorEmbedder = Pick<Embedder, 'embed' | 'embedBatch' | 'embedWindows' | 'info'>

/** Options of {@link Monitor.load}. */
export interface MonitorOptions<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  /**
   * Makes the vectors, and stays the caller's to dispose of. Default: the bundled model, loaded for this monitor and released by its
   * {@link Monitor.dispose}.
   */
  embedder?: MonitorEmbedder
  /** A name, or a detector of your own. Default `erosion`, or `classic` if there are settings for it. */
  detector?: DetectorName | Detector<State, Verdict>
  /** Settings of the detector named `classic`. */
  classic?: ClassicOptions
  /** Settings of the detector named `erosion`. */
  erosion?: ErosionOptions
  /** Conversations that {@link Monitor.conversation} keeps; the least recently asked for go first. Default 10,000. */
  maxConversations?: number
}

/** What is used of a cache here. */
type ConversationCache<Kept> = Pick<Map<string, Kept>, 'get' | 'delete' | 'clear' | 'size'> & { set(id: string, kept: Kept): unknown }

/** Watches conversations with one embedder and one detector. */
export class Monitor<State = unknown, Verdict extends DetectorVerdict = DetectorVerdict> {
  readonly embedder: MonitorEmbedder
  readonly detector: Detector<State, Verdict>
  readonly #conversations: ConversationCache<Conversation<State, Verdict>>

  /** The embedder that was loaded for this monitor; null for a caller's. */
  readonly #own: Embedder | null

  private constructor(embedder: MonitorEmbedder, detector: Detector<State, Verdict>, own: Embedder | null, maxConversations: number) {
    this.#conversations = new LRUCache({ max: maxConversations })
    this.embedder = embedder
    this.detector = detector
    this.#own = own
  }

  /**
   * Loads the files of a detector, and checks that the detector's projection fits the embedder's vectors.
   *
   * @throws GabionError `INVALID_ARGUMENT`, `ARTIFACT_INVALID`, `PROJECTION_MISMATCH`
   */
  static async load(options?: MonitorOptions & { detector?: 'erosion'; classic?: never }): Promise<Monitor<ErosionState, ErosionVerdict>>
  static async load(
    options: MonitorOptions & ({ detector: 'classic' } | { detector?: 'classic'; classic: ClassicOptions }),
  ): Promise<Monitor<ClassicState, ClassicVerdict>>
  static async load<State, Verdict extends DetectorVerdict>(
    options: MonitorOptions<State, Verdict> & { detector: Detector<State, Verdict> },
  ): Promise<Monitor<State, Verdict>>
  static async load(options?: MonitorOptions): Promise<Monitor>
  static async load(options?: MonitorOptions): Promise<Monitor> {
    const given = checkOptions('options', options, ['embedder', 'detector', 'classic', 'erosion', 'maxConversations'])
    const { detector: requested = given.classic === undefined ? DEFAULT_DETECTOR : 'classic' } = given
    if (given.embedder !== undefined) checkEmbedder(given.embedder)
    for (const name of DETECTORS) {
      if (requested !== name && given[name] !== undefined)
        throw invalidArgument(name, `left out, since detector is not '${name}'`, given[name])
    }
    const maxConversations = checkInteger('maxConversations', given.maxConversations ?? DEFAULT_MAX_CONVERSATIONS, 1)
    if (typeof requested === 'object') checkDetector(requested)
    else checkOneOf('detector', requested, DETECTORS)
    const own = given.embedder === undefined ? await (await import('../embedding/embedder.js')).Embedder.load() : null
    const embedder = given.embedder ?? own!
    try {
      const detector = typeof requested === 'object' ? requested : await loadByName(embedder, requested, given)
      // An empty batch computes nothing, and refuses a projection that was made for other vectors.
      if (detector.projection !== null) await embedder.embedBatch([], { projection: detector.projection })
      return new Monitor(embedder, detector, own, maxConversations)
    } catch (error) {
      own?.dispose()
      throw error
    }
  }

  /** Conversations kept. */
  get size(): number {
    return this.#conversations.size
  }

  /**
   * The conversation of that id; begun if there is none. It is kept until {@link forget}, or until `maxConversations` others have been
   * asked for since: save what must survive that with `toJSON`, or hold the conversation itself.
   */
  conversation(id: string): Conversation<State, Verdict> {
    const kept = this.#conversations.get(checkString('id', id))
    if (kept !== undefined) return kept
    const begun = this.begin(id)
    this.#conversations.set(id, begun)
    return begun
  }

  /** Begins a conversation that is not kept here: it lives as long as the caller holds it. */
  begin(id: string): Conversation<State, Verdict> {
    return new Conversation(this.embedder, this.detector, checkString('id', id))
  }

  /**
   * Takes up a conversation saved with `toJSON`, in place of one of the same id.
   *
   * @throws GabionError `ARTIFACT_INVALID` naming the field, also when it was saved with another detector
   */
  restore(saved: unknown): Conversation<State, Verdict> {
    const { id, ...from } = readSavedConversation(saved, this.detector)
    const restored = new Conversation(this.embedder, this.detector, id, from)
    this.#conversations.set(id, restored)
    return restored
  }

  /** Stops keeping a conversation; false if there was none of that id. */
  forget(id: string): boolean {
    return this.#conversations.delete(checkString('id', id))
  }

  /** Forgets every conversation, and releases the embedder if it was loaded for this monitor. Safe to call again. */
  dispose(): void {
    this.#conversations.clear()
    this.#own?.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function loadByName(embedder: MonitorEmbedder, name: DetectorName, given: Partial<MonitorOptions>): Promise<Detector> {
  switch (name) {
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

function checkDetector(detector: Detector): void {
  if ((detector as unknown) === null) throw invalidArgument('detector', 'a name or a Detector', detector)
  checkString('detector.name', detector.name)
  checkString('detector.fingerprint', detector.fingerprint)
  for (const method of ['start', 'judge', 'checkState'] as const) {
    if (!(method in detector)) throw invalidArgument(`detector.${method}`, 'a function', undefined)
  }
  if ((detector.projection as unknown) === undefined)
    throw invalidArgument('detector.projection', 'a Projection or null', detector.projection)
}
