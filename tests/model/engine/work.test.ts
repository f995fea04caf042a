/** The jobs of a window: order, who takes what, when a group is done with, and doing them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openEngine } from '../../../nanoeval/model/engine/engine.ts';
import type { Executor } from '../../../nanoeval/model/engine/executor.ts';
import type { Lane } from '../../../nanoeval/model/engine/lane.ts';
import { plan } from '../../../nanoeval/model/engine/plan.ts';
import type { Group, TokenQuestion } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { Trie } from '../../../nanoeval/model/engine/trie.ts';
import { openWork } from '../../../nanoeval/model/engine/work.ts';
import { hashExecutor } from '../hash_executor.ts';

/** Two headers of 100 tokens, `count` questions of 40 under each. */
function window(count: number, form: 'tree' | 'single' = 'tree') {
  const trie = new Trie();
  const inputs: Int32Array[] = [];
  for (const header of [1, 2]) {
    for (let q = 0; q < count; q += 1) {
      const input = Int32Array.from({ length: 140 }, (_, i) => (i < 100 ? header : 10 + ((q * 31 + i) % 50)));
      inputs.push(input);
      trie.add({ place: inputs.length - 1, requests: [{ input, targets: [3] }] });
    }
  }
  return { root: plan(trie, { form, batchTokens: 100 }), inputs };
}

/** A lane as far as work looks at it: it holds the groups of the jobs that it took. */
function lane() {
  const groups = new Set<Group>();
  return { groups, holds: (group: Group) => group.parent === null || groups.has(group) } as unknown as Lane & {
    groups: Set<Group>;
  };
}

test('one lane does group after group, and each is done with when its last job is', () => {
  const { root } = window(6);
  const one = lane();
  const work = openWork(root, [one]);
  const seen: Group[] = [];
  const finished: Group[] = [];
  for (let job = work.take(one); job !== null; job = work.take(one)) {
    one.groups.add(job.group);
    if (seen.at(-1) !== job.group) seen.push(job.group);
    finished.push(...work.finish(job));
  }
  assert.equal(new Set(seen).size, seen.length, 'no group is come back to');
  assert.equal(finished.at(-1), root);
  for (const group of seen) assert.ok(finished.includes(group));
});

test('a second lane begins another group, and helps where much is left', () => {
  const { root } = window(60, 'single');
  const [one, two] = [lane(), lane()];
  const work = openWork(root, [one, two]);
  const first = work.take(one)!;
  one.groups.add(first.group);
  const second = work.take(two)!;
  two.groups.add(second.group);
  assert.notEqual(first.group, second.group);
  for (let job = work.take(one); job?.group === first.group; job = work.take(one)) {
    // The first lane's own group is emptied first.
  }
  assert.equal(work.take(one)?.group, second.group, 'then it helps');
});

test('a job that is put back is done before its group is done with', () => {
  const { root } = window(1);
  const one = lane();
  const work = openWork(root, [one]);
  const job = work.take(one)!;
  work.again([{ ...job, retried: true }]);
  assert.deepEqual(work.finish(job), []);
  const again = work.take(one)!;
  assert.deepEqual([again.retried, again.pass], [true, job.pass]);
  const rest = [];
  for (let next = work.take(one); next !== null; next = work.take(one)) rest.push(next);
  const finished = [again, ...rest].flatMap((next) => work.finish(next));
  assert.equal(finished.at(-1), root);
});

test('what is known is no job, but stays in the passes that hold something else', () => {
  for (const form of ['tree', 'single'] as const) {
    const trie = new Trie();
    const { inputs } = window(6, form);
    inputs.forEach((input, place) => {
      trie.add({ place, requests: [{ input, targets: [3] }], done: place !== 2 });
    });
    const root = plan(trie, { form, batchTokens: 100 });
    const one = lane();
    const work = openWork(root, [one]);
    const jobs = [];
    for (let job = work.take(one); job !== null; job = work.take(one)) jobs.push(job);
    assert.equal(jobs.length, 1);
    const places = jobs[0]!.pass!.asks.map(({ request }) => request.question.place);
    assert.ok(places.includes(2), `${places}`);
    assert.equal(work.finish(jobs[0]!).at(-1), root);
  }
});

test('no answer is lost when two jobs end while the last answer is being taken', async () => {
  // Replies that come together, the second some turns of the microtask queue after the first.
  for (const lag of [0, 1, 2, 4, 8, 12, 16]) {
    const base = hashExecutor();
    let held: (() => void)[] = [];
    const together = async () => {
      const all = held;
      held = [];
      for (const give of all) {
        give();
        for (let turn = 0; turn < lag; turn += 1) await null;
      }
    };
    const executor: Executor = {
      ...base,
      pass: (order) =>
        new Promise((resolve, reject) => {
          base.pass(order).then((answer) => {
            if (held.push(() => resolve(answer)) === 1) setTimeout(together, 5);
          }, reject);
        }),
    };
    const log = { info: () => {}, progress: () => {} };
    const engine = openEngine([executor], async () => executor, { batchTokens: 60, cacheBytes: 0, log });
    const questions = async function* (): AsyncGenerator<TokenQuestion> {
      for (let place = 0; place < 20; place += 1) {
        const input = Int32Array.from({ length: 50 }, (_, i) => (i * 7 + (place % 2) * 13 + (place >> 1)) % 60);
        yield { place, window: place >> 1, requests: [{ input, targets: [1] }] };
      }
    };
    const through = async function* <T>(source: AsyncIterable<T>, depth: number): AsyncGenerator<T> {
      if (depth === 0) yield* source;
      else for await (const one of through(source, depth - 1)) yield one;
    };
    let answered = 0;
    for await (const _ of through(engine.score(questions(), new AbortController().signal), 3)) answered += 1;
    assert.equal(answered, 20, `lag ${lag}`);
  }
});
