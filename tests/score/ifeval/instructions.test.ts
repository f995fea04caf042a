/** Verdicts on answers, strict and loose; recorded ones of real answers where a folder is named. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { INSTRUCTIONS, instructionsOf, looseForms, verdictOn } from '../../../nanoeval/score/ifeval/instructions.ts';
import { RECORDED } from './recorded.ts';

test('25 instructions; of each one texts are recorded that follow it and that do not, strictly and loosely', () => {
  const ids = Object.keys(INSTRUCTIONS);
  assert.equal(ids.length, 25);
  for (const id of ids) {
    const texts = RECORDED.filter((row) => row.id === id).flatMap((row) => row.texts);
    assert.ok(texts.some(([, strict]) => strict) && texts.some(([, , loose]) => !loose), id);
  }
  const all = RECORDED.flatMap(({ texts }) => texts);
  assert.ok(all.filter(([, strict, loose]) => strict !== loose).length >= 25, 'strict and loose differ');
});

test('loose forms: without the first line, the last one, both; stripped but for the answer itself; without asterisks', () => {
  assert.deepEqual(looseForms(' *a*\n b \n\tc'), [
    ' *a*\n b \n\tc',
    'b \n\tc',
    '*a*\n b',
    'b',
    ' a\n b \n\tc',
    'b \n\tc',
    'a\n b',
    'b',
  ]);
  assert.deepEqual(looseForms('a'), ['a', '', '', '', 'a', '', '', '']);
});

test('all instructions make a row right, each is a part; the loose forms may differ from one to another', () => {
  const gold = {
    instruction_id_list: ['punctuation:no_comma', 'startend:quotation'],
    kwargs: [{}, {}],
  };
  const metrics = (strict: number, loose: number) => ({ inst_level_strict_acc: strict, inst_level_loose_acc: loose });
  assert.deepEqual(verdictOn('"a"', gold), {
    correct: 1,
    metrics: { prompt_level_strict_acc: 1, prompt_level_loose_acc: 1 },
    parts: [
      { name: 'punctuation:no_comma', metrics: metrics(1, 1) },
      { name: 'startend:quotation', metrics: metrics(1, 1) },
    ],
  });
  assert.deepEqual(verdictOn('"a"\nb, c', gold), {
    correct: 0,
    metrics: { prompt_level_strict_acc: 0, prompt_level_loose_acc: 1 },
    parts: [
      { name: 'punctuation:no_comma', metrics: metrics(0, 1), failure: 'there is a comma' },
      { name: 'startend:quotation', metrics: metrics(0, 1), failure: 'it is not wrapped in "' },
    ],
  });
  // No comma is in a blank answer, and yet it follows nothing.
  for (const blank of ['', ' \u00a0\n'])
    assert.deepEqual(
      verdictOn(blank, gold).parts!.map((part) => [part.metrics, part.failure]),
      [0, 1].map(() => [metrics(0, 0), 'it is blank']),
    );
});

test('arguments as they are published, sparse or with nulls; what is missing is told with its place', () => {
  const all = { num_words: 3, relation: 'at least', keywords: null, language: null };
  const gold = instructionsOf({ instruction_id_list: ['length_constraints:number_words'], kwargs: [all] }, 'row');
  assert.deepEqual(gold.kwargs, [{ num_words: 3, relation: 'at least' }]);
  const refused = (kwargs: Record<string, unknown>[]) => () =>
    instructionsOf({ instruction_id_list: ['length_constraints:number_words'], kwargs }, 'row 1');
  assert.throws(refused([{ relation: 'at least' }]), {
    name: 'UserError',
    message: /^row 1: kwargs\[0\] of length_constraints:number_words: num_words: /,
  });
  assert.throws(refused([{ num_words: 3, relation: 'at most' }]), { message: /relation: .*at most.*less than/ });
  assert.throws(refused([]), {
    message: 'row 1: kwargs: 0 of them for 1 instructions. Give each its own, {} for none.',
  });
});

test('a saved row with an instruction that is none is broken', () => {
  assert.throws(() => verdictOn('a', { instruction_id_list: ['toString'], kwargs: [{}] }), {
    name: 'RowError',
    message: '"toString" is no instruction.',
  });
});

// ---------------------------------------------------------------- real answers

const FOLDER = process.env.NANOEVAL_IFEVAL ?? '';
const lines = (...path: string[]) =>
  readFileSync(join(FOLDER, ...path), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

interface Checked {
  prompt: string;
  response: string;
  follow_instruction_list: boolean[];
}

/** Those that differ, by why (tests/fixtures/ifeval/README.md). */
const BY_DRAWN_LANGUAGE = [
  'Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4 3456 change_case:english_capital strict',
  'Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4 3617 change_case:english_capital loose',
  'gpt-4o-mini-2024-07-18 202 change_case:english_lowercase loose',
];
const PLACEHOLDERS = 'detectable_content:number_placeholders';
const hasDrawnLetter = (told: string) => / (?:1122|1129) keywords:letter_frequency /.test(told);

test('all recorded verdicts on real answers', {
  skip: existsSync(join(FOLDER, 'checked_responses')) && FOLDER !== '' ? false : 'NANOEVAL_IFEVAL names no folder',
}, () => {
  const rows = lines('input_data.jsonl');
  const differ: string[] = [];
  let equal = 0;
  for (const model of readdirSync(join(FOLDER, 'checked_responses')).sort()) {
    const of = (kind: string): Checked[] => lines('checked_responses', model, `eval_results_${kind}.jsonl`);
    const recorded = { strict: of('strict'), loose: of('loose') };
    for (const [place, row] of rows.entries()) {
      const { prompt, response } = recorded.strict[place]!;
      if (row.key === 2785) row.kwargs[row.instruction_id_list.indexOf(PLACEHOLDERS)].num_placeholders = 1;
      else assert.equal(prompt, row.prompt);
      const { parts } = verdictOn(response, instructionsOf(row, `row ${place}`));
      for (const [at, { name, metrics }] of parts!.entries())
        for (const kind of ['strict', 'loose'] as const) {
          if ((metrics[`inst_level_${kind}_acc`] === 1) === recorded[kind][place]!.follow_instruction_list[at])
            equal += 1;
          else differ.push(`${model} ${row.key} ${name} ${kind}`);
        }
    }
  }
  assert.deepEqual(
    differ.filter((told) => !hasDrawnLetter(told)),
    BY_DRAWN_LANGUAGE,
  );
  assert.deepEqual([equal, differ.length], [4994, 10]);
});
