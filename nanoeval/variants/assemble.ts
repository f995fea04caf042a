/** From everything that was found about the variants to the report. */
import { type CompareResult, exitOfAll, GATE_EXIT, type TaskResult, worst } from '../compare/result.ts';
import type { VariantsConfig } from '../config/variants.ts';
import { describeHost } from '../report/host.ts';
import type { Entry } from '../suite/entries.ts';
import { FORMAT } from '../types.ts';
import { brokenOf, type JudgedTask } from './broken.ts';
import {
  type VariantFlip,
  type VariantResult,
  type VariantScore,
  type VariantsResult,
  verdictOf,
  withoutFlips,
} from './result.ts';
import type { VariantRuns } from './sets.ts';
import type { VariantFiles, WindowSource } from './windows.ts';
import type { Measured } from './workers.ts';

/** A variant before anything was computed. */
export interface Variant {
  name: string;
  /** The first of its tasks: its model section is the variant's. */
  entry: Entry;
  /** null: no export (a server), so that nothing but its answers can be looked at. */
  files: VariantFiles | null;
}

/** What the report says of the texts. */
export interface Texts {
  source: WindowSource;
  /** A token as a reader sees it. */
  tokenText(id: number): string;
}

const scoresOf = ({ set }: VariantRuns): VariantScore[] =>
  set.runs.map(({ name, summary: { primary, metrics } }) => ({
    task: name,
    primary,
    estimate: metrics[primary.name]!,
  }));

function judgedTasks(reference: VariantRuns, runs: VariantRuns, tasks: readonly TaskResult[]): JudgedTask[] {
  const [before, now] = [scoresOf(reference), scoresOf(runs)];
  return tasks.map(({ name, metrics, flips }) => {
    const own = now.find(({ task }) => task === name)!;
    const { verdict } = metrics.find((metric) => metric.name === own.primary.name)!;
    const was = before.find(({ task }) => task === name)!;
    return { name, primary: own.primary, reference: was.estimate, variant: own.estimate, verdict, flips };
  });
}

/** Everything that was found about a variant. */
export interface Found {
  variant: Variant;
  runs: VariantRuns;
  compared: CompareResult | null;
  measured: Measured | null;
  fault: string | null;
}

function resultOf(
  found: Found,
  reference: Found,
  { tokenText }: Pick<Texts, 'tokenText'>,
  config: VariantsConfig,
): VariantResult {
  const { variant, runs, compared, measured, fault } = found;
  const { name, files, entry } = variant;
  const isReference = found === reference;
  const summary = runs.set.runs[0]?.summary;
  const weights = files?.checkpoint.files.map(({ path, size, sha256 }) => ({ path, size, sha256 })) ?? null;
  const apart = measured?.apart ?? null;
  const broken = isReference
    ? null
    : brokenOf({
        apart,
        limit: config.distributions.broken_kl,
        nan: runs.nan,
        tasks: judgedTasks(reference.runs, runs, compared?.tasks ?? []),
        tokenText,
      });
  const cost = measured?.cost ?? null;
  const { first: _first, ...divergence } = apart ?? { first: null };
  return {
    name,
    model: files?.repo.id ?? summary?.model.label ?? entry.config.model.model_id,
    variant: summary?.model.variant ?? null,
    reference: isReference,
    bytes: weights?.reduce((sum, { size }) => sum + size, 0) ?? null,
    files: weights,
    cost:
      cost === null
        ? null
        : {
            load_seconds: cost.load_seconds,
            tokens_per_second: cost.pass.tokens / cost.pass.seconds,
            ...cost.pass,
            peak_rss: cost.peak_rss,
            peak_rss_before_load: cost.peak_rss_before_load,
          },
    scores: scoresOf(runs),
    comparison:
      compared === null
        ? null
        : {
            verdict: compared.verdict,
            exit_code: compared.exit_code,
            level: compared.gate.level,
            tasks: compared.tasks.map(withoutFlips),
            warnings: compared.warnings,
          },
    distributions: apart === null ? null : (divergence as VariantResult['distributions']),
    perplexity: apart?.perplexity?.variant ?? null,
    broken,
    faults: [...runs.faults, ...(fault === null ? [] : [fault])],
  };
}

/** The report, and every flipped row; the reference is the first of `all`. */
export function wholeResult(
  suite: string,
  all: readonly Found[],
  texts: Texts,
  config: VariantsConfig,
): { result: VariantsResult; flips: VariantFlip[] } {
  const [reference] = all as [Found, ...Found[]];
  const variants = all.map((found) => resultOf(found, reference, texts, config));
  // Both perplexities come of the same passes: those that are compared.
  const seen = all.find(({ measured }) => measured?.apart?.perplexity != null);
  variants[0]!.perplexity = seen?.measured?.apart?.perplexity?.reference ?? null;
  const others = variants.slice(1);
  const verdicts = others.map(verdictOf);
  const isFailed = variants.some(({ faults }) => faults.length > 0);
  const bad = verdicts.includes('BROKEN') ? 'BROKEN' : isFailed || verdicts.includes('FAILED') ? 'FAILED' : null;
  const codes = others.flatMap(({ comparison }) => comparison?.exit_code ?? []);
  const { distributions, gate } = config;
  const result: VariantsResult = {
    format: FORMAT,
    suite,
    verdict: bad ?? worst(others.flatMap(({ comparison }) => comparison?.verdict ?? [])),
    exit_code: bad === null ? exitOfAll(codes as Parameters<typeof exitOfAll>[0]) : GATE_EXIT.regressed,
    reference: reference.variant.name,
    gate: { rule: gate.rule, strict: gate.strict },
    distributions: { ...texts.source, broken_kl: distributions.broken_kl },
    threads: reference.variant.entry.config.engine.threads_per_worker ?? null,
    variants,
    host: describeHost(),
  };
  const flips = all.flatMap(({ variant, compared }) =>
    (compared?.tasks ?? []).flatMap((task) =>
      task.flips.map((flip) => ({ variant: variant.name, task: task.name, ...flip })),
    ),
  );
  return { result, flips };
}
