/** What a benchmark is: the contract between a task file and the runner. A task file exports one `Task`. */
import type { z } from 'zod';
import type { TaskConfig } from './config/keys.ts';
import type { Recipe, ResolvedRecipe } from './config/recipe.ts';
import type { Subjects } from './config/subjects.ts';
import type { Example, FailedRow, Prediction, Prompt, ScoredRow, Verdict } from './questions.ts';
import type { IndexedRow, Row, Scores } from './types.ts';

/** `C`: its config. `G`: what is gold in its rows, any plain JSON. */
export interface Task<C extends TaskConfig = TaskConfig, G = unknown> {
  name: string;
  config: z.ZodType<C>;
  recipes: Record<string, Recipe>;
  /** The split of the same data set that few-shot examples come from; without it the task has none to give. */
  shots?: { split: string };
  /** Its rows have subjects; give it to `taskSchema` too. The runner selects by them. */
  subjects?: Subjects;
  /** Its prompts show pictures: a model that takes none is refused, and few rows are held at a time. */
  images?: boolean;
  /** The rows as questions, in the order of `run.rows`. The runner selects, asks, samples, resumes and retries. */
  examples(run: Run<C>): AsyncGenerator<Example<G>>;
  /**
   * The verdict on one saved prediction, from nothing else: the same today and tomorrow. Throws RowError for a broken one. Its
   * `output` comes without what the model thought before it answered (`<think> ... </think>`).
   * `config` says what `scorer` looks for; a task without one has no use for it.
   */
  score(prediction: Prediction<G>, recipe: ResolvedRecipe, config?: C): Verdict | Promise<Verdict>;
  /**
   * What verdicts need of this machine besides the row, such as a sandbox: looked for before the first row. Throws UserError
   * where it is not allowed or not there.
   */
  scorer?(config: C): Promise<Scorer>;
  /** The means over all rows, the primary metric first. Pure. */
  summarize(rows: readonly ScoredRow<G>[], recipe: ResolvedRecipe): Scores;
  /** Files of its own in the run's folder, by name, made from the rows when the run ends and when it is scored again. */
  files?: Readonly<Record<string, OwnFile<G>['text']>>;
}

/** What verdicts are made with, where it is more than the row. */
export interface Scorer {
  /** In words, for run.json and the summary's notes. */
  about: string;
  /** Rows that may be scored at a time. */
  atOnce: number;
}

/** A file of a task's own. */
export interface OwnFile<G = unknown> {
  /** What it holds, from the scored rows (without their texts and choices) and those that failed. Pure. */
  text(rows: readonly ScoredRow<G>[], failed: readonly FailedRow[], recipe: ResolvedRecipe): string;
}

/** What `examples` has at hand. */
export interface Run<C extends TaskConfig = TaskConfig> {
  config: C;
  recipe: ResolvedRecipe;
  /** Prompts are conversations and go through the chat template. */
  chat: boolean;
  /** Context limit of the model in tokens; null where nobody says. */
  maxLength: number | null;
  /** What the classes of the model's classification head are called, by their ids; null where it has none. */
  labels: readonly string[] | null;
  /**
   * The selected rows of the split under test that are still to be asked, in published order, as `read` makes them of their
   * columns. A row for which `read` throws UserError is stored as failed and left out; where it is the first row of a new
   * run the error ends it, for then the columns are not those of the task. Rows are read as they are asked, once: nobody
   * looks at all of them before. `columns` null: whatever each row has. `optional`: columns that may be null in every row, and
   * which writers then leave out: they are null where the data has none.
   */
  rows<T = Row>(
    columns: readonly string[] | null,
    read?: (row: IndexedRow) => T,
    optional?: readonly string[],
  ): AsyncGenerator<{ index: number; row: T }>;
  /**
   * Few-shot examples: the first rows of each key in the shots' split, in file order, as many as the run has shots. The
   * returned function gives those of one key and throws UserError when the split has too few.
   */
  firstShots<T>(
    columns: readonly string[],
    read: (row: IndexedRow) => T,
    keyOf: (shot: T) => string,
  ): Promise<(key: string) => T[]>;
  /**
   * Few-shot examples of lm-eval's default sampler: one Python generator seeded 1234 for the whole split under test,
   * which draws rows of the shots' split for each row in turn, in the order drawn. `spare`: rows drawn beyond the shots and
   * dropped. The harness draws 1 where it believes that the row itself may be among them, which is where its task names
   * no test split (HellaSwag), and 0 otherwise (ARC). The returned function wants row indices in rising order; rows left out
   * draw too, so a subset keeps its shots.
   */
  drawnShots<T>(
    columns: readonly string[],
    read: (row: IndexedRow) => T,
    spare: 0 | 1,
  ): Promise<(index: number) => T[]>;
  /** Tokens of a prompt, special tokens included. */
  countTokens(prompt: Prompt): Promise<number>;
}
