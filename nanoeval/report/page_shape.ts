/** What report.html holds, as its writer and its script know it. Types alone: the script brings them into the browser. */
import type { Scores } from '../types.ts';

/**
 * A text that a model was given or gave, and its token ids. `text_head` and `ids_head` are numbers of beginnings that many
 * share, `text` and `ids` (`packNumbers`) what stands behind them. Without a text it is that of the tokens, from the character `from` on.
 */
export interface PagePart {
  text_head?: number;
  text?: string;
  ids_head?: number;
  ids?: string;
  from?: number;
}

/** What page.jsonl holds of a row, beside its line in predictions.jsonl. */
export interface PageRow {
  /** `rowKey`. */
  row: string;
  /** One context, or one for each choice; two texts of a pair. */
  prompts: PagePart[];
  /** Continuations. */
  choices?: PagePart[];
  output?: PagePart;
  /** SHA-256 of each picture, in the order of their places. */
  pictures?: string[];
  /** The prompt is the conversation as it was given: a server renders it, and nobody here knows how. */
  as_given?: true;
}

/** A picture, made small; or why it is not there. */
export type PagePicture = { type: string; width: number; height: number; data: string } | { left_out: string };

/** What many rows of page.jsonl share. */
export interface PageShared {
  /** Beginnings by their numbers. */
  text_heads: Record<number, string>;
  ids_heads: Record<number, string>;
  /** Texts of tokens by their ids; a token that is a part of a character has U+FFFD in it. */
  texts: Record<number, string>;
}

/** What became of a row: right, wrong, wrong since nothing could be read, failed, a score that is neither right nor wrong, none. */
export type RowStatus = 'r' | 'w' | 'u' | 'f' | 's' | 'n';

/** The rows of a run as columns: what the list, its filters and a comparison need. A column that no row has is absent. */
export interface PageList {
  /** Place in the split as published. */
  index: number[];
  /** Where it is not the index as text. */
  id?: string[];
  seed?: (number | null)[];
  sample?: (number | null)[];
  /** Places in `subjects`; -1: none. */
  subject?: number[];
  subjects?: string[];
  /** A `RowStatus` a row. */
  status: string;
  /** The primary metric; null for none. */
  score?: (number | null)[];
  /** What was read and what is right, short. */
  read?: (string | number | null)[];
  gold?: (string | number | null)[];
  /** `PROMPT_DIGITS` hexadecimal digits of each prompt's SHA-256, one row after the other; blanks for a failed row. */
  prompts: string;
}

/** Hexadecimal digits of a prompt's hash in `PageList.prompts`. */
export const PROMPT_DIGITS = 8;

/** Rows of one block of details, and of one of prompts. */
export const BLOCK_ROWS = 256;

/** A chart as its Vega-Lite spec. */
export interface PageChart {
  name: string;
  spec: unknown;
}

/** One run on a page. */
export interface PageRun {
  /** Names it on the page and in links. */
  name: string;
  /** Of its checkpoint, where it has been given one. */
  model: string;
  task: string;
  /** What a comparison of two runs has to find equal; empty where the run may be compared with none. */
  terms: Record<string, unknown>;
  status: string;
  faults: readonly string[];
  scores: Scores;
  /** Facts in words, in the order in which they are shown. */
  facts: [string, string][];
  health: [string, number][];
  notes: string[];
  charts: PageChart[];
  rows: number;
  /** Rows of which page.jsonl has the prompt. */
  prompts: number;
  /** Without any: how to have them. */
  how: string;
  /** Reported values beside ours, from a suite. */
  reference?: Record<string, number | string>;
  /** The page of its own, where this one does not hold its rows. */
  page?: string;
  /** Why there is nothing of it. */
  error?: string;
}

/** What a page is made of beside its rows. */
export interface Book {
  /** `FORMAT`. */
  format: number;
  kind: 'run' | 'suite' | 'view' | 'live';
  title: string;
  /** When it was written, ISO. */
  written: string;
  tool: string;
  runs: PageRun[];
  /** Pages that belong to this one. */
  links?: readonly { name: string; page: string }[];
}
