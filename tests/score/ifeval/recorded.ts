/** What lm-evaluation-harness said of made-up texts (tests/fixtures/ifeval/README.md). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { verdictOn } from '../../../nanoeval/score/ifeval/instructions.ts';

export interface Recorded {
  id: string;
  kwargs: Record<string, unknown>;
  texts: [text: string, strict: boolean, loose: boolean][];
}

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/ifeval/${name}`, import.meta.url), 'utf8'));
export const RECORDED: Recorded[] = read('verdicts.json');
export const SENTENCES: { text: string; sentences: string[]; words: string[] }[] = read('sentences.json');

/** What is wrong with a text, strictly; null where nothing is. */
export function failureOf(id: string, kwargs: Record<string, unknown>, text: string): string | null {
  const [part] = verdictOn(text, { instruction_id_list: [id], kwargs: [kwargs] }).parts!;
  return part!.failure ?? null;
}

/** Holds all recorded verdicts on instructions of some kinds against ours. */
export function compareRecorded(...kinds: string[]): void {
  const rows = RECORDED.filter(({ id }) => kinds.some((kind) => id.startsWith(`${kind}:`)));
  assert.ok(rows.length >= kinds.length);
  for (const { id, kwargs, texts } of rows)
    for (const [text, strict, loose] of texts) {
      const { parts } = verdictOn(text, { instruction_id_list: [id], kwargs: [kwargs] });
      const { inst_level_strict_acc, inst_level_loose_acc } = parts![0]!.metrics;
      const where = `${id} ${JSON.stringify(kwargs)} on ${JSON.stringify(text)}`;
      assert.deepEqual([inst_level_strict_acc, inst_level_loose_acc], [Number(strict), Number(loose)], where);
    }
}
