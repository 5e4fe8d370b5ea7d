/**
 * The body of an answer. It is cancelled here rather than by the request's signal: Node forgets the signal of a request once
 * nobody holds the request any more, even while its body is still read.
 */

/** A body that is read piece by piece. */
export class Body {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(response: Response) {
    this.#reader = response.body?.getReader();
  }

  /** The next bytes; nothing at the end. None within so many milliseconds: the body is closed, and that is an error. */
  async read(limit: number): Promise<Uint8Array | undefined> {
    let timer;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`nothing came for ${limit / 1000} s`)), limit);
    });
    try {
      const part = await Promise.race([this.#reader?.read(), late]);
      return part?.value;
    } catch (error) {
      this.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the connection, and a `read` that waits as if the body had ended. */
  close(): void {
    // A body that has failed is closed already.
    this.#reader?.cancel().catch(() => undefined);
  }
}
