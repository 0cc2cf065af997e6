// Owns the use cases, shared by all protocols: embed, project, judge an exchange, read and watch conversations.

import type { Logger } from 'pino'
import type { Classification } from '../classifier/classification.js'
import type { Classifier } from '../classifier/classifier.js'
import type { ClassifierInput } from '../classifier/classifier-options.js'
import type { Embedder } from '../embedding/embedder.js'
import type { EmbeddingBatch } from '../embedding/embedding-batch.js'
import { GabionError } from '../errors.js'
import type { ReplyReading } from '../detection/reply-reading.js'
import { beginReply } from '../monitor/stream/reply-reading.js'
import type { Monitor } from '../monitor/monitor.js'
import type { Projection } from '../projection/projection.js'
import { Alerting, type AlertingOptions } from './alerting.js'
import { requireClassifier } from './classify.js'
import { checkId, type ConversationRecord, type Owner } from './conversations/record.js'
import type { LocalContexts } from './conversations/local-contexts.js'
import type { Acknowledgement, AlertPage, ConversationStatus } from './conversations/status.js'
import type { ConversationStore } from './conversations/store.js'
import { judgeAndStore, KeyedQueue, type ExchangeRequest, type StoredOutcome } from './conversations/judge-exchange.js'
import { momentAt, type ReplyPlace } from './conversations/reply-place.js'
import { Events, type Watcher } from './events.js'
import { Admission, checkTexts, type Limits } from './limits.js'
import { Metrics } from './metrics.js'
import { NoDetector, requireMonitor } from './no-detector.js'
import type { RequestContext } from './request-context.js'
import { ServedModels } from './served-models.js'
import { Telemetry, type SpanFacts } from './telemetry.js'
import { TENANT_HEADER, Tenants } from './tenants.js'

/** The parts of a service; their owner closes them. */
export interface ServiceParts {
  /** The default model, whose vectors detector and projection take. */
  readonly embedder: Embedder
  /** Further models, asked for by their names. */
  readonly embedders?: readonly Embedder[]
  readonly monitor: Monitor | NoDetector
  readonly store: ConversationStore
  readonly limits: Limits
  /** Applied by `project`; null if there is none. */
  readonly projection: Projection | null
  /** Runs `classify`; null if there is none. */
  readonly classifier?: Classifier | null
  readonly version: string
  readonly logger: Logger
  /** Who is told of alerts; nobody but the log by default. */
  readonly alerting?: AlertingOptions
  /** By what each tenant's conversations are judged; all by `monitor` by default. */
  readonly tenants?: Tenants
  /** Keeps the words of conversations in this process; null stores them with their conversation. */
  readonly contexts?: LocalContexts | null
}

/** A request for vectors. */
export interface EmbedRequest {
  readonly texts: readonly string[]
  /** One of the model's prompts; undefined for the model's own default. */
  readonly prompt?: string | undefined
  /** The name of a model; without it the default. */
  readonly model?: string | null | undefined
  /** Values per vector; without it the model's own. */
  readonly dimensions?: number | null | undefined
}

/** Vectors, and the model that they are of. */
export interface Embedded {
  readonly model: string
  readonly batch: EmbeddingBatch
}

/** The service without its protocols. */
export class Service {
  readonly models: ServedModels
  /** Why no conversation is judged; null where they are. */
  readonly noDetector: string | null
  readonly store: ConversationStore
  readonly limits: Limits
  readonly projection: Projection | null
  readonly classifier: Classifier | null
  readonly version: string
  readonly admission: Admission
  readonly events: Events
  readonly metrics: Metrics
  readonly telemetry: Telemetry
  readonly alerting: Alerting
  readonly tenants: Tenants
  readonly #monitor: Monitor | NoDetector
  readonly #contexts: LocalContexts | null
  readonly #queue = new KeyedQueue()
  #stopping = false

  constructor(parts: ServiceParts) {
    const { embedder, monitor, store, limits, projection, classifier = null, version, contexts = null } = parts
    this.models = new ServedModels(embedder, parts.embedders)
    this.#monitor = monitor
    this.noDetector = monitor instanceof NoDetector ? monitor.reason : null
    this.store = store
    this.limits = limits
    this.projection = projection
    this.classifier = classifier
    this.version = version
    this.admission = new Admission(limits)
    this.events = new Events(limits.eventStreams)
    this.metrics = new Metrics(
      this.models.all.map(({ info: { model, precision, provider, instructionSet } }) => {
        return { version, model, precision, provider, instruction_set: instructionSet }
      }),
      {
        cache: () => this.models.cacheStats,
        pendingTexts: () => this.admission.texts,
        pendingLength: () => this.admission.length,
        refused: () => this.admission.refused,
        watchers: () => this.events.size,
      },
    )
    this.telemetry = new Telemetry(embedder.info.model)
    this.alerting = new Alerting(parts.logger, this.metrics.registry, parts.alerting)
    this.tenants = parts.tenants ?? new Tenants({ monitor, system: null })
    this.#contexts = contexts
    store.onChange((change) => this.events.publish(change))
  }

  /** The default model. */
  get embedder(): Embedder {
    return this.models.main
  }

  /** @throws GabionError `NO_DETECTOR` */
  get monitor(): Monitor {
    return requireMonitor(this.#monitor)
  }

  /** Whether the words of conversations may be stored. */
  get keepsTexts(): boolean {
    return this.#contexts === null
  }

  /** @throws GabionError `NOT_FOUND` for a model that this service does not have */
  async embed({ texts, prompt, model, dimensions }: EmbedRequest, request: RequestContext): Promise<Embedded> {
    const embedder = this.models.requested(model)
    const options = { ...(prompt !== undefined && { prompt }), ...(typeof dimensions === 'number' && { dimensions }) }
    return { model: embedder.info.model, batch: await this.#embed(embedder, texts, request, options) }
  }

  /**
   * The points of texts under the service's projection.
   *
   * @throws GabionError `NOT_FOUND` when the service has none
   */
  async project(texts: readonly string[], request: RequestContext): Promise<EmbeddingBatch> {
    const { projection } = this
    if (projection === null) throw new GabionError('NOT_FOUND', 'this service has no projection; start it with --projection FILE')
    return await this.#embed(this.models.main, texts, request, { projection })
  }

  /**
   * What the service's classifier says of texts and pairs.
   *
   * @throws GabionError `NOT_FOUND` when the service has none
   */
  async classify(inputs: readonly ClassifierInput[], request: RequestContext): Promise<Classification[]> {
    const classifier = requireClassifier(this)
    const length = checkTexts(
      inputs.map((input) => (typeof input === 'string' ? input : input.text + input.pair)),
      this.limits,
    )
    return await this.#admitted(inputs.length, length, () =>
      this.telemetry.run('gabion.classify', request, async (facts) => {
        const results = await classifier.classifyBatch(inputs, { signal: request.signal })
        facts({ 'gen_ai.usage.input_tokens': results.reduce((sum, { tokenCount }) => sum + tokenCount, 0) })
        return results
      }),
    )
  }

  /** Judges the next exchange of a conversation; its first one creates the conversation. */
  async addExchange(exchange: ExchangeRequest, request: RequestContext): Promise<StoredOutcome> {
    // Before anything else: to which conversation an exchange belongs does not matter where none is judged.
    requireMonitor(this.tenants.of(exchange.tenant ?? null).monitor)
    const id = checkId('the conversation', exchange.conversation)
    if ((exchange.caller ?? null) !== null) checkId('caller', exchange.caller!)
    if (exchange.exchangeId !== null) checkId('exchangeId', exchange.exchangeId)
    if ((exchange.tenant ?? null) === null && this.tenants.reserves(id))
      throw new GabionError('INVALID_ARGUMENT', `conversation ${JSON.stringify(id)} is a tenant's: name the tenant in ${TENANT_HEADER}`)
    const length = checkTexts([exchange.user, exchange.assistant, exchange.system ?? '', ...(exchange.rules ?? [])], this.limits)
    return await this.#admitted(2, length, () =>
      this.telemetry.run('gabion.exchange', request, async (facts) => {
        const { monitor, system } = this.tenants.of(exchange.tenant ?? null)
        const keeping = { alertDetails: this.alerting.details, contexts: this.#contexts, system }
        const outcome = await this.#queue.run(id, request.signal, () =>
          judgeAndStore(requireMonitor(monitor), this.store, exchange, request.signal, keeping),
        )
        const { verdict, repeated, alert } = outcome
        if (!repeated) this.metrics.judged(verdict)
        if (alert !== null) await this.alerting.raised(alert)
        facts({ 'gabion.exchange': verdict.exchange, 'gabion.level': verdict.level, 'gabion.likelihood': verdict.likelihood })
        return outcome
      }),
    )
  }

  /** Begins to read a reply while it is being written. Nothing is stored: the finished reply is judged with {@link addExchange}. */
  async beginReply(place: ReplyPlace): Promise<ReplyReading> {
    const { monitor: given, system } = this.tenants.of(place.tenant)
    const monitor = requireMonitor(given)
    const record = (await this.store.load(checkId('the conversation', place.conversation)))?.record
    const { state, context } = momentAt(record, place, monitor.detector, system)
    return beginReply(monitor, state, context, place.user)
  }

  /** @throws GabionError `NOT_FOUND`, `NO_DETECTOR` */
  async conversation(id: string): Promise<ConversationRecord> {
    requireMonitor(this.#monitor)
    const stored = await this.store.load(checkId('the conversation', id))
    if (stored === null) throw notFound(id)
    return stored.record
  }

  /** The most recently used first. @throws GabionError `NO_DETECTOR` */
  async conversations(limit: number): Promise<ConversationStatus[]> {
    requireMonitor(this.#monitor)
    return await this.store.list(limit)
  }

  /** Alerts of all conversations, newest first. */
  async alerts(query: { readonly limit: number; readonly offset: number; readonly openOnly: boolean }): Promise<AlertPage> {
    return await this.store.alerts(query)
  }

  /**
   * Marks an alert as taken care of; the first to do so stays.
   *
   * @throws GabionError `NOT_FOUND` if that exchange raised no alert
   */
  async acknowledge(id: string, exchange: number, by: string | null): Promise<Acknowledgement> {
    const made = { at: new Date().toISOString(), by }
    const inForce = await this.store.acknowledge(checkId('the conversation', id), exchange, made)
    if (inForce === null) throw new GabionError('NOT_FOUND', `exchange ${exchange} of conversation ${JSON.stringify(id)} raised no alert`)
    return inForce
  }

  /**
   * Removes what is stored of a conversation, its alerts too, also those that wait for their delivery.
   *
   * @throws GabionError `NOT_FOUND`
   */
  async forget(id: string, request: RequestContext): Promise<void> {
    if (!(await this.#forget(checkId('the conversation', id), request))) throw notFound(id)
    await this.store.purge([id])
  }

  /** Removes all conversations of a caller or a tenant, and returns how many there were. */
  async forgetOwned(owner: Owner, name: string, request: RequestContext): Promise<number> {
    const ids = await this.store.owned(owner, checkId(`the ${owner}`, name))
    let count = 0
    for (const id of ids) count += Number(await this.#forget(id, request))
    await this.store.purge(ids)
    return count
  }

  async #forget(id: string, request: RequestContext): Promise<boolean> {
    return await this.#queue.run(id, request.signal, async () => {
      this.#contexts?.delete(id)
      await this.alerting.forget(id)
      return await this.store.delete(id)
    })
  }

  /** See {@link Events.watch}. */
  watch(conversation: string | null, after: number | null, watcher: Watcher, ended: () => void): () => void {
    if (conversation !== null) {
      requireMonitor(this.#monitor)
      checkId('the conversation', conversation)
    }
    return this.events.watch(conversation, after, watcher, ended)
  }

  /** @throws GabionError `UNAVAILABLE` when the service cannot take new requests */
  async checkReady(): Promise<void> {
    if (this.#stopping) throw new GabionError('UNAVAILABLE', 'the service is stopping')
    await this.store.check()
  }

  /** Makes the service unready and ends all watches; pending requests continue. */
  stop(): void {
    this.#stopping = true
    this.events.close()
  }

  async #embed(
    embedder: Embedder,
    texts: readonly string[],
    request: RequestContext,
    options: Parameters<Embedder['embedBatch']>[1],
  ): Promise<EmbeddingBatch> {
    const length = checkTexts(texts, this.limits)
    const work = async (facts: SpanFacts): Promise<EmbeddingBatch> => {
      const batch = await embedder.embedBatch(texts, { ...options, signal: request.signal })
      this.metrics.embedded(batch)
      facts({ 'gen_ai.usage.input_tokens': batch.tokenCounts.reduce((sum, count) => sum + count, 0) })
      return batch
    }
    return await this.#admitted(texts.length, length, () => this.telemetry.run('embeddings', request, work, embedder.info.model))
  }

  async #admitted<T>(texts: number, length: number, work: () => Promise<T>): Promise<T> {
    const release = this.admission.admit(texts, length)
    try {
      return await work()
    } finally {
      release()
    }
  }
}

function notFound(id: string): GabionError {
  return new GabionError(
    'NOT_FOUND',
    `there is no conversation ${JSON.stringify(id)}; it begins with its first exchange and expires when unused`,
  )
}
