/** Social IQa against lm-evaluation-harness 0.4.13 (choices_goldens.ts), and cosmopedia's form. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { Prediction } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_social_iqa.ts';
import { requestsOf, rowsOf, testCards, testGoldens } from './choices_goldens.ts';
import { ask, askedBy, questionOf } from './requests.ts';

testGoldens(task);
testCards(task);

test("cosmopedia's form: the answers after the bare scene and question, in a conversation with their blank", async () => {
  const settings = { dataset: { path: rowsOf('social_iqa') }, scoring: { recipe: 'cloze' } };
  const asked = (await askedBy(task, settings)).map((one) => requestsOf(questionOf(one, 'loglikelihood')));
  assert.deepEqual(
    asked[2],
    [' dance', ' sing', ' sweep the floor'].map((answer) => [
      ' Kai broke a cup at the party of Lin.  What does Kai need to do?',
      answer,
    ]),
  );
  const [chat] = await askedBy(task, { ...settings, model: { model_id: 'a/b', chat_template: true } });
  assert.deepEqual(requestsOf(questionOf(chat!, 'loglikelihood'))[0], [
    '<|im_start|>user\nAna gave her seat to an old man on the bus. How would the man feel?<|im_end|>\n<|im_start|>assistant\n',
    ' thankful',
  ]);
});

test('the recipe of lm-eval reports acc alone, and cosmopedia acc_norm by characters first', async () => {
  const choice = (logprob: number, num_chars: number) => ({
    logprob,
    num_tokens: 1,
    is_greedy: false,
    num_chars,
    num_bytes: num_chars,
  });
  const saved = { gold: 1, choices: [choice(-4, 2), choice(-6, 12), choice(-9, 3)] } as unknown as Prediction<number>;
  const metrics = async (recipe: string) => {
    const config = task.config.parse({ task: 'social_iqa', model: { model_id: 'a/b' }, scoring: { recipe } });
    return Object.entries((await task.score(saved, resolveRecipe(task, config))).metrics).slice(0, 2);
  };
  assert.deepEqual(await metrics('lm_eval'), [['acc', 0]]);
  assert.deepEqual(await metrics('cloze'), [
    ['acc_norm', 1],
    ['acc', 0],
  ]);
});

test('labels are 1 to 3, as texts or numbers; others are refused by number', async () => {
  const good = { context: 'c', question: 'q', answerA: 'a', answerB: 'b', answerC: 'c', label: '3' };
  const first = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const goldOf = async (label: unknown) => {
    const { row } = (await first({ label })).value!;
    return 'error' in row ? row : row.gold;
  };
  assert.deepEqual([await goldOf('3'), await goldOf(1)], [2, 0]);
  for (const label of ['0', 0, '4', '', 'A'])
    await assert.rejects(first({ label }), /social_iqa row 0: label is .+\. It has to be one of: 1, 2, 3\./);
  await assert.rejects(first({ answerB: null }), /social_iqa row 0: answerB is null\. It has to be a text\./);
});
