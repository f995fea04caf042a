/** Pages over runs that nobody made: ranked rows with shared headers and tokens, and answers that would like to be markup. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Ask, Reply, ScoredRow } from '../../nanoeval/questions.ts';
import { Companion } from '../../nanoeval/run/companion.ts';
import type { AnyRun } from '../../nanoeval/run/report_page.ts';
import { pagedRun, writePage } from '../../nanoeval/run/report_page.ts';
import { readRun } from '../../nanoeval/run/saved_run.ts';
import { sha256 } from '../../nanoeval/text/hash.ts';
import { plantRun, rankedRow } from '../planted_run.ts';

/** Letters as tokens; one of them is two of a character. */
const idsOf = (text: string) =>
  [...text].flatMap((letter) => (letter === 'ü' ? [1000, 1001] : [letter.codePointAt(0)!]));
const textsOf = (ids: readonly number[]) =>
  ids.map((id) => (id >= 1000 && id < 1002 ? '\ufffd' : String.fromCodePoint(id)));

const HEADER = `The following are questions about made up things.\n\n${'Question: what is it?\nA. this\nB. that\nAnswer: A\n\n'.repeat(4)}`;
export const promptOf = (index: number) => `${HEADER}Question ${index}: is ü <b>bold</b>?\nA. yes\nB. no\nAnswer:`;

/** A companion of rows that were asked and answered so. */
export async function keep(
  folder: string,
  asked: readonly { index: number; ask: Ask; reply: Reply }[],
  tokens = true,
): Promise<void> {
  const companion = await Companion.open(join(folder, 'page.jsonl'), { texts: tokens ? textsOf : null, tokens });
  for (const { index, ask, reply } of asked) {
    companion.hold(String(index), ask, reply);
    await companion.write({ index });
  }
  companion.close();
}

/** The run in a folder, as pages show it. */
export async function paged(folder: string, name: string): Promise<AnyRun> {
  const run = await readRun(folder);
  return { ...pagedRun(run, JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8'))), name };
}

const TIMING = {
  started: '2026-03-05T10:00:00.000Z',
  finished: '2026-03-05T10:01:00.000Z',
  seconds: 60,
  rows_computed: 1,
  rows_per_second: 1,
};

/** MMLU rows of two subjects, right where `isRight` says so; `kept`: with prompts. */
export async function plantRanked(
  folder: string,
  model: string,
  isRight: (index: number) => boolean,
  count = 300,
  kept = true,
): Promise<string> {
  const rows = Array.from({ length: count }, (_, index): ScoredRow => {
    const gold = index % 2;
    const prediction = isRight(index) ? gold : 1 - gold;
    const row = rankedRow(index, gold, prediction, {
      task: 'mmlu',
      subject: index % 3 === 0 ? 'anatomy' : 'philosophy',
      group: index % 3 === 0 ? 'stem' : 'humanities',
      metrics: { acc: prediction === gold ? 1 : 0 },
    });
    return { ...row, prompt_sha256: sha256(promptOf(index)), choices: row.choices!.slice(0, 2) };
  });
  await plantRun(folder, {
    task: 'mmlu',
    model,
    rows,
    summary: (summary) => Object.assign(summary, { timing: TIMING }),
  });
  if (!kept) return folder;
  const asked = rows.map(({ index, choices }) => {
    const prompt = promptOf(index);
    const ask: Ask = {
      verb: 'loglikelihood',
      prompt,
      choices: [' A', ' B'].map((text) => ({ text, continuation: text })),
    };
    const reply: Reply = {
      prompts: [prompt],
      num_context_tokens: 1,
      truncated: false,
      choices: choices!.map(({ logprob, num_tokens, is_greedy }, i) => ({
        logprob,
        num_tokens,
        is_greedy,
        tokens: { prompt: idsOf(prompt), output: idsOf([' A', ' B'][i]!) },
      })),
    };
    return { index, ask, reply };
  });
  await keep(folder, asked);
  return folder;
}

/** What a model may say that is not to become a part of the page. */
export const HOSTILE = [
  '<img src="http://127.0.0.1:9/x.png" onerror="window.hacked=1"><b>bold</b>',
  '</script><script>window.hacked=1</script><!-- <style>*{display:none}</style>',
  `one very long line ${'wordwithoutanyend'.repeat(4000)}`,
  'right to left: \u202eabc שלום עולם مرحبا\u202c and on',
  '<think>thoughts <i>here</i></think>The answer is 42.',
  '\u0000\u0007 control, \ud800 half a pair, &amp; &lt;entities&gt;',
] as const;

/** Generated rows: one for each hostile answer, one that could not be read, one that failed; a picture in the first prompt. */
export async function plantGenerated(folder: string): Promise<string> {
  const picture = await sharp({ create: { width: 900, height: 300, channels: 3, background: '#204080' } })
    .png()
    .toBuffer();
  const scored = [...HOSTILE, 'nothing to read'].map((output, index) => ({
    task: 'rollout',
    id: index === 1 ? '"><script>window.hacked=2</script>' : `row ${index}`,
    index,
    gold: { target: '42', first_line: false, ignore_case: false, tolerance: 0 },
    prediction: index === HOSTILE.length ? null : index === 4 ? '42' : output.slice(0, 60),
    correct: index === 4 ? (1 as const) : (0 as const),
    metrics: { acc: index === 4 ? 1 : 0 },
    output,
    finish_reason: 'stop' as const,
    num_output_tokens: 5,
    num_context_tokens: 4,
    truncated: false,
    prompt_sha256: sha256(`p${index}`),
    ...(index === 0 ? { image_sha256: [sha256(picture)] } : {}),
  }));
  const failed = {
    task: 'rollout',
    id: 'broken',
    index: scored.length,
    error: { kind: 'image', message: '<b>no</b> picture' },
  };
  await plantRun(folder, {
    task: 'rollout',
    model: 'made/"<i>quoted</i>',
    rows: [...scored, failed],
    summary: (summary) => Object.assign(summary, { timing: TIMING }),
  });
  const asked = scored.slice(0, 3).map(({ index, output }) => {
    const words = `look at this <u>${index}</u>`;
    const prompt =
      index === 0
        ? ([
            { type: 'image', bytes: picture },
            { type: 'text', text: words },
          ] as const)
        : words;
    const ask: Ask = { verb: 'generate_until', prompt, until: [], max_new_tokens: 5 };
    const reply: Reply = {
      prompts: [words],
      output,
      finish_reason: 'stop',
      num_output_tokens: 5,
      num_context_tokens: 4,
      truncated: false,
    };
    return { index, ask, reply };
  });
  await keep(folder, asked, false);
  return folder;
}

export type Pages = Record<'folder' | 'run' | 'pair' | 'hostile' | 'bare', string>;

/** Pages that the tests open, in a folder that is there already. */
export async function plantPages(folder: string): Promise<Pages> {
  const at = (name: string) => join(folder, name);
  await plantRanked(at('first'), 'made/first', (index) => index % 4 !== 0);
  await plantRanked(at('second'), 'made/second', (index) => index % 5 !== 0);
  await plantRanked(at('bare'), 'made/bare', (index) => index % 2 === 0, 20, false);
  await plantGenerated(at('generated'));
  const [first, second, bare, generated] = await Promise.all(
    ['first', 'second', 'bare', 'generated'].map((name) => paged(at(name), name)),
  );
  const failed = { name: 'gone', task: 'mmlu', model: 'made/<gone>', error: 'weights <b>lost</b>' };
  return {
    folder,
    run: await writePage(at('run.html'), { kind: 'run', title: 'mmlu: made/first', runs: [first!] }),
    pair: await writePage(at('pair.html'), {
      kind: 'suite',
      title: 'a <suite>',
      runs: [first!, second!, generated!, failed],
    }),
    hostile: await writePage(at('hostile.html'), {
      kind: 'run',
      title: '</title><script>window.hacked=3</script>',
      runs: [generated!],
    }),
    bare: await writePage(at('bare.html'), { kind: 'run', title: 'bare', runs: [bare!] }),
  };
}
