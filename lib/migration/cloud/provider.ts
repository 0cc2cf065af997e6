// Owns what every cloud embedding looks like here: a text in, a vector with its tokens and time out. Knows no particular cloud.

/** A vector that a cloud has computed. */
export interface CloudVector {
  readonly vector: Float32Array
  /** Tokens that are charged. */
  readonly tokens: number
  /** From the call to the answer, retries included. */
  readonly milliseconds: number
}

/** A cloud's embedding model. */
export interface CloudProvider {
  /** The model's name, such as `amazon.titan-embed-text-v1`. */
  readonly model: string
  /** @throws GabionError `CLOUD_REFUSED`, `CLOUD_UNREACHABLE`, `ABORTED` */
  embed(text: string, signal?: AbortSignal): Promise<CloudVector>
}
