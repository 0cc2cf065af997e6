// Names of everything that gabion keeps in Redis. The braces keep all of it in one slot of a cluster, so that scripts may touch it at once.

/** Key names under one prefix. */
export class Keys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = `{${prefix}}`
  }

  /** Hash of a conversation: revision, record, status. */
  conversation(id: string): string {
    return `${this.conversationPrefix}${id}`
  }

  get conversationPrefix(): string {
    return `${this.#prefix}:conversation:`
  }

  /** The conversation in which an alert was raised behind a user's message. */
  alert(promptId: string): string {
    return `${this.#prefix}:alert:${promptId}`
  }

  /** Sorted set of conversations by the time of their last exchange. */
  get recent(): string {
    return `${this.#prefix}:recent`
  }

  /** Channel on which changes are told. */
  get changes(): string {
    return `${this.#prefix}:changes`
  }

  /** Stream of exchanges to judge. */
  get exchanges(): string {
    return `${this.#prefix}:exchanges`
  }

  /** Stream of verdicts. */
  get verdicts(): string {
    return `${this.#prefix}:verdicts`
  }

  /** Lists of a conversation's entries that were taken and not yet judged, in the order of the stream. */
  get orderPrefix(): string {
    return `${this.#prefix}:order:`
  }
}
