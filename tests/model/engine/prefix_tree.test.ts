/** Passes as data: a sequence without branches, and the halves of a pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chain, halves } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { checkAsks, FORMS, groupsOf, pathOf, planOf } from '../plans.ts';
import { draws, randomQuestions } from '../token_questions.ts';

test('a chain: each token stands behind the one before', () => {
  assert.deepEqual(chain([7, 7, 3]), { ids: [7, 7, 3], parents: [-1, 0, 1] });
  assert.deepEqual(chain(Int32Array.of(4)), { ids: [4], parents: [-1] });
  assert.deepEqual(chain([]), { ids: [], parents: [] });
});

test("a pass's halves ask the same, each thing once", () => {
  let halved = 0;
  for (let seed = 1; seed <= 20; seed += 1) {
    for (const form of FORMS) {
      const { root } = planOf(randomQuestions(draws(seed), 30, 100, 50), { form, batchTokens: 768 });
      for (const group of groupsOf(root)) {
        for (const pass of group.passes) {
          const parts = halves(pass);
          assert.equal(parts === null, pass.sequences.length === 1);
          if (parts === null) continue;
          halved += 1;
          assert.ok(Math.abs(parts[0].sequences.length - parts[1].sequences.length) <= 1);
          assert.deepEqual([...parts[0].sequences, ...parts[1].sequences], pass.sequences);
          const [whole, sum] = [new Map<string, number>(), new Map<string, number>()];
          checkAsks(pass, pathOf(group), whole);
          for (const part of parts) {
            assert.equal(part.group, group);
            checkAsks(part, pathOf(group), sum);
          }
          assert.deepEqual(new Map([...sum].sort()), new Map([...whole].sort()));
        }
      }
    }
  }
  assert.ok(halved > 50, `${halved}`);
});
