// Owns the interface of cloud embeddings: a text in, a vector with token count and latency out. Knows no particular cloud.

/** A vector computed by a cloud. */
export interface CloudVector {
  readonly vector: Float32Array
  /** Tokens charged. */
  readonly tokens: number
  /** From the call to the response, retries included. */
  readonly milliseconds: number
}

/** A cloud's embedding model. */
export interface CloudProvider {
  /** The model's name, such as `amazon.titan-embed-text-v1`. */
  readonly model: string
  /** @throws GabionError `CLOUD_REFUSED`, `CLOUD_UNREACHABLE`, `ABORTED` */
  embed(text: string, signal?: AbortSignal): Promise<CloudVector>
}
