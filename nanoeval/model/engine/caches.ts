/** Which caches of keys and values an executor holds, what they take, and what may go. */
import type { Executor } from './executor.ts';
import type { Group } from './prefix_tree.ts';

/** The cache at the end of a group. */
export interface Held {
  /** Its number at the executor; null: the root's, which is empty. */
  id: number | null;
  /** Settled when the cache is there, or will never be. */
  made: Promise<unknown>;
}

/** The book of one executor. Caches are freed without waiting: the executor takes its calls in order. */
export class CacheBook {
  /** Of groups that are worked on. */
  readonly #resident = new Map<Group, { id: number; made: Promise<unknown> }>();
  /** Of groups that are done with, by the group's key; least recently used first. */
  readonly #kept = new Map<string, { id: number; bytes: number }>();
  #keptBytes = 0;
  #ids = 0;
  readonly #executor: () => Executor;
  readonly #limit: number;

  /** `executor`: the one in use at the time. `limit` bounds the bytes of kept caches. */
  constructor(executor: () => Executor, limit: number) {
    this.#executor = executor;
    this.#limit = limit;
  }

  /** A number for a new cache. */
  fresh(): number {
    this.#ids += 1;
    return this.#ids;
  }

  free(caches: readonly number[]): void {
    // A process that has gone holds nothing any more; the pass that meets it says so.
    if (caches.length > 0)
      this.#executor()
        .free(caches)
        .catch(() => undefined);
  }

  holds(group: Group): boolean {
    return group.parent === null || this.#resident.has(group);
  }

  /**
   * The cache of a group that is here: the root's, one that is worked on, or one kept from an earlier window, where no
   * question of this window asks for numbers of the group's own tokens. null: it has to be made.
   */
  find(group: Group): Held | null {
    const made = Promise.resolve();
    if (group.parent === null) return { id: null, made };
    const here = this.#resident.get(group);
    if (here !== undefined) return here;
    const known = group.key === null ? undefined : this.#kept.get(group.key);
    if (known === undefined || group.chunks.some((chunk) => chunk.asks.length > 0)) return null;
    this.#kept.delete(group.key!);
    this.#keptBytes -= known.bytes;
    const entry = { id: known.id, made };
    this.#resident.set(group, entry);
    return entry;
  }

  /** The group's cache is being made. */
  enter(group: Group, entry: { id: number; made: Promise<unknown> }): void {
    this.#resident.set(group, entry);
  }

  /** What leads to a group may be incomplete after an error: it is made again when it is wanted again. */
  lose(group: Group): void {
    for (let at: Group | null = group; at !== null; at = at.parent) {
      const entry = this.#resident.get(at);
      if (entry !== undefined) this.free([entry.id]);
      this.#resident.delete(at);
    }
  }

  /** The group is done with: its cache is kept for later windows where it has a name and there is room. */
  release(group: Group): void {
    const entry = this.#resident.get(group);
    if (entry === undefined) return;
    this.#resident.delete(group);
    const bytes = group.depth * this.#executor().info.bytesPerToken;
    if (group.key === null || bytes > this.#limit || this.#kept.has(group.key)) {
      this.free([entry.id]);
      return;
    }
    this.#kept.set(group.key, { id: entry.id, bytes });
    this.#keptBytes += bytes;
    this.#dropDownTo(this.#limit);
  }

  /** Frees all that nothing under way needs. */
  makeRoom(): void {
    this.#dropDownTo(0);
  }

  /** The executor's process ended, and all caches with it. */
  forget(): void {
    this.#resident.clear();
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  #dropDownTo(bytes: number): void {
    for (const [key, entry] of this.#kept) {
      if (this.#keptBytes <= bytes) return;
      this.#kept.delete(key);
      this.#keptBytes -= entry.bytes;
      this.free([entry.id]);
    }
  }
}
