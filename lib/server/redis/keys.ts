// Names of gabion's keys in Redis. The braces (hash tag) put all of them in one cluster slot, so that one script may use them together.

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

  /** A note of `ConversationStore.saveNote`. */
  note(key: string): string {
    return `${this.#prefix}:note:${key}`
  }

  /** Before every name. */
  get root(): string {
    return `${this.#prefix}:`
  }

  /** Sorted set of conversations of a caller or a tenant, by the time of their last exchange. */
  owner(kind: string, name: string): string {
    return `${this.#prefix}:${kind}:${name}`
  }

  /** Sorted set of alerts by time: all of them, and those that nobody has acknowledged. */
  get alerts(): string {
    return `${this.#prefix}:alerts`
  }

  get openAlerts(): string {
    return `${this.#prefix}:open-alerts`
  }

  /** Stream of alerts to deliver. */
  get outbox(): string {
    return `${this.#prefix}:outbox`
  }

  /** Sorted set of conversations by the time of their last exchange. */
  get recent(): string {
    return `${this.#prefix}:recent`
  }

  /** Pub/sub channel of changes. */
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

  /** Lists of taken entries that are not yet judged, per conversation, in the order of the stream. */
  get orderPrefix(): string {
    return `${this.#prefix}:order:`
  }
}
