/** Which pictures an executor was shown. */
import { RowError } from '../../types.ts';
import type { Album } from '../vision/album.ts';
import type { Executor } from './executor.ts';

/** The book of one executor. */
export class PictureBook {
  /** By the first id of a picture; settled when the executor has seen it. */
  readonly #shown = new Map<number, Promise<unknown>>();
  readonly #executor: () => Executor;
  readonly #album: Album;
  readonly #stats: { images: number; image_tiles: number };

  /** `executor`: the one in use at the time. Pictures and their tiles are counted in `stats`. */
  constructor(executor: () => Executor, album: Album, stats: { images: number; image_tiles: number }) {
    this.#executor = executor;
    this.#album = album;
    this.#stats = stats;
  }

  /**
   * Shows the executor the pictures among the ids, before what needs them: it takes its calls in order. Rejects with a
   * RowError for a file that is no picture.
   */
  show(ids: readonly number[]): Promise<unknown> {
    const all = Promise.all(this.#album.among(ids).map((picture) => this.#seen(picture)));
    all.catch(() => undefined);
    return all;
  }

  /** The picture that begins with this id is no more. */
  drop(first: number): void {
    if (!this.#shown.delete(first)) return;
    this.#executor()
      .unsee([first])
      .catch(() => undefined);
  }

  /** The executor's process ended: a new one has seen nothing. */
  forget(): void {
    this.#shown.clear();
  }

  #seen(picture: ReturnType<Album['enter']>): Promise<unknown> {
    const known = this.#shown.get(picture.first);
    if (known !== undefined) return known;
    const seen = this.#executor()
      .see(picture)
      .then(({ tiles }) => {
        this.#stats.images += 1;
        this.#stats.image_tiles += tiles;
      });
    // What a picture lacks it will lack again; what the machine lacked may be there another time.
    seen.catch((error: unknown) => {
      if (!(error instanceof RowError) && this.#shown.get(picture.first) === seen) this.#shown.delete(picture.first);
    });
    this.#shown.set(picture.first, seen);
    return seen;
  }
}
