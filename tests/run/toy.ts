/** A made-up benchmark for tests of the runner: its rows have a number, a text and a subject; any verb asks about them. */
import { taskSchema } from '../../nanoeval/config/keys.ts';
import { type Recipe, type ResolvedRecipe, resolveRecipe } from '../../nanoeval/config/recipe.ts';
import { askOf } from '../../nanoeval/prompt/ask.ts';
import type { Example, Prediction, Verdict } from '../../nanoeval/questions.ts';
import type { Plan } from '../../nanoeval/run/plan.ts';
import { rank } from '../../nanoeval/score/loglikelihood.ts';
import { summarizeRows, verdict } from '../../nanoeval/score/summarize.ts';
import type { Run, Task } from '../../nanoeval/task.ts';
import type { IndexedRow, Log, Row, Split } from '../../nanoeval/types.ts';
import { identityOf } from '../canned_model.ts';

export const recipes: Record<string, Recipe> = {
  lm_eval: {
    about: 'made up',
    num_fewshot: 0,
    strategies: {
      rank_ll: { verb: 'loglikelihood', primary: 'acc' },
      gen_letter: { verb: 'generate_until', primary: 'acc', until: ['\n'], max_new_tokens: 7 },
      rolling_ll: { verb: 'loglikelihood_rolling', primary: 'nats', unit: 'number', better: 'lower' },
    },
  },
};
const source = { dataset_id: 'a/b', subset_name: 'default', split: 'test' };
export const subjects = { column: 'subject', groups: { letters: ['a', 'b'], other: ['c'] } };
export const schema = taskSchema('toy', source, recipes, { subjects });
export type ToyConfig = ReturnType<typeof toyConfig>;

/** A config of the toy; `sections` are those of its file. */
export function toyConfig(sections: Record<string, object> = {}) {
  return schema.parse({ task: 'toy', ...sections, model: { model_id: 'm', ...sections.model } });
}

export const toyRecipe = (config: ToyConfig, known = recipes): ResolvedRecipe =>
  resolveRecipe({ name: 'toy', recipes: known }, config);

/** `count` rows: `{ n, text, subject, gold }`, subjects a, b, c in turn. */
export const toyRows = (count: number): Row[] =>
  Array.from({ length: count }, (_, n) => ({ n, text: `Q${n}`, subject: 'abc'.charAt(n % 3), gold: n % 2 }));

/** Two choices of which the shorter one is the likelier for a model that counts characters, as `ranked` does. */
const choicesOf = (n: number) => (n % 4 < 2 ? ['x', 'longer'] : ['longer', 'x']);

async function* examples(run: Run<ToyConfig>): AsyncGenerator<Example> {
  for await (const { index, row } of run.rows(['n', 'text', 'subject', 'gold'])) {
    const { n, text, gold } = row as { n: number; text: string; gold: unknown };
    const choices = choicesOf(n).map((one) => ({ text: one, continuation: ` ${one}` }));
    const { verb } = run.recipe;
    yield {
      id: `id${n}`,
      index,
      group: 'g',
      subject: String(row.subject),
      gold,
      ask:
        verb === 'loglikelihood_rolling'
          ? { verb, text }
          : askOf(run.recipe, run.chat ? [{ role: 'user', content: text }] : text, choices),
    };
  }
}

/** A ranked row is right as its index is, an answer as its text; of a whole text the nats are counted. */
function score({ choices, output, logprob, gold }: Prediction, { primary }: ResolvedRecipe): Verdict {
  if (choices !== undefined) return verdict(rank(choices, false), primary, gold as number);
  if (output !== undefined) {
    const correct = output === String(gold) ? 1 : 0;
    return { prediction: output === '' ? null : output, correct, metrics: { acc: correct } };
  }
  return { metrics: { nats: -logprob! } };
}

export const toyTask = (over: Partial<Task<ToyConfig>> = {}): Task<ToyConfig> => ({
  name: 'toy',
  config: schema,
  recipes,
  subjects,
  examples,
  score,
  summarize: (rows, recipe) => summarizeRows(rows, recipe, recipe.unit === 'share' ? 0.5 : null),
  ...over,
});

/** A split in memory. `read`: the columns that were asked for, and the indices that were given. */
export function splitOf(
  rows: readonly Row[],
  name = 'test',
): Split & { read: { columns: string[]; given: number[] }[] } {
  const read: { columns: string[]; given: number[] }[] = [];
  return {
    read,
    dataset_id: 'a/b',
    revision: 'main',
    commit: 'd'.repeat(40),
    subset_name: 'default',
    split: name,
    files: [{ path: `${name}.parquet`, size: 5, sha256: null, verified: true }],
    numRows: async () => rows.length,
    async *rows(asked, wanted): AsyncGenerator<IndexedRow> {
      const columns = asked ?? Object.keys(rows[0] ?? {});
      const given: number[] = [];
      read.push({ columns: [...columns], given });
      for (const index of wanted ?? rows.keys()) {
        given.push(index);
        yield { index, row: Object.fromEntries(columns.map((column) => [column, rows[index]![column]])) };
      }
    },
  };
}

/** A plan without a folder: what `askModel` and others look at. */
export function planOf(
  sections: Record<string, object> = {},
  {
    task = toyTask(),
    split = splitOf(toyRows(40)),
    shots = null,
  }: Partial<Pick<Plan<ToyConfig>, 'task' | 'split' | 'shots'>> = {},
): Plan<ToyConfig> {
  const config = toyConfig(sections);
  const identity = identityOf({});
  const can = { verbs: [], images: true, chat: true };
  return {
    task,
    config,
    recipe: toyRecipe(config, task.recipes),
    split,
    shots,
    found: { identity, can, engine: {}, load: async () => Promise.reject(new Error('not loaded here')) },
    chat: config.model.chat_template ?? false,
    selections: [],
    manySeeds: config.scoring.seeds !== undefined,
    record: {} as Plan['record'],
  };
}

/** A row of predictions.jsonl without its answer. */
export const predicted = (index: number, rest: Partial<Prediction> = {}): Prediction => ({
  task: 'toy',
  id: `id${index}`,
  index,
  group: 'g',
  gold: 0,
  num_context_tokens: 3,
  truncated: false,
  prompt_sha256: 'p',
  ...rest,
});

/** Log-probabilities as the choices of a ranked row. */
export const rankedChoices = (...logprobs: number[]) =>
  logprobs.map((logprob) => ({ logprob, num_tokens: 1, num_chars: 1, num_bytes: 1, is_greedy: false }));

/** A log that keeps what it is told. */
export function openSaid(): { log: Log; said: string[]; notes: string[] } {
  const [said, notes]: [string[], string[]] = [[], []];
  const log: Log = {
    info: (line) => void said.push(line),
    progress: ({ note }) => void notes.push(note ?? ''),
  };
  return { log, said, notes };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

export const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => from + i);
