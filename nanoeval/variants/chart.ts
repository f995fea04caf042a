/** The report as a picture: each task's metric, and the divergence, against the size of the weights. */
import type { ScatterInput, ScatterPanel, ScatterPoint } from '../report/scatter.ts';
import { primaryOf, type VariantResult, type VariantScore, type VariantsResult, verdictOf } from './result.ts';

/** What is drawn; null where no variant has a size. */
export function variantsChart(result: VariantsResult): ScatterInput | null {
  const { variants, reference, verdict, distributions } = result;
  const tasks = [...new Set(variants.flatMap(({ scores }) => scores.map(({ task }) => task)))];
  const panels = [...tasks.map((task) => taskPanel(task, result)), divergencePanel(result)].filter(
    ({ points }) => points.length > 0,
  );
  if (panels.length === 0) return null;
  const marks = variants.some((one) => !one.reference && verdictOf(one) === 'BROKEN') ? ['cross: broken'] : [];
  return {
    title: `${verdict}: variants of ${variants[0]!.model} against ${reference}`,
    subtitle: [
      `lines: interval of the difference to ${reference}`,
      `KL over ${distributions.tokens.toLocaleString('en-US')} tokens`,
      ...marks,
    ],
    panels,
  };
}

/** The point of a variant, where its size is known. */
function pointOf(variant: VariantResult, y: number, interval: ScatterPoint['interval']): ScatterPoint[] {
  const { name, bytes, cost, broken } = variant;
  if (bytes === null) return [];
  return [
    {
      label: name,
      y,
      interval,
      size: bytes / 1e6,
      speed: cost === null ? null : cost.tokens_per_second,
      broken: broken !== null,
    },
  ];
}

function taskPanel(task: string, { variants }: VariantsResult): ScatterPanel {
  const scores = variants.flatMap((variant) => {
    const score = variant.scores.find((one) => one.task === task);
    return score === undefined ? [] : [{ variant, score }];
  });
  const { primary } = scores[0]!.score;
  const isShare = primary.unit === 'share';
  const scale = isShare ? 100 : 1;
  const points = scores.flatMap(({ variant, score }) =>
    pointOf(variant, scale * score.estimate.value, scaled(pairedInterval(variant, score), scale)),
  );
  const unit = `${isShare ? ', %' : ''}${primary.better === 'lower' ? ' (lower is better)' : ''}`;
  const line = primary.chance === null ? null : { y: scale * primary.chance, label: 'chance' };
  return { title: `${task} ${primary.name}${unit}`, points, line };
}

/** The interval of the paired difference, laid at the reference's value; null for the reference. */
function pairedInterval({ comparison }: VariantResult, score: VariantScore): [number, number] | null {
  const task = comparison?.tasks.find(({ name }) => name === score.task);
  if (task === undefined) return null;
  const { baseline, interval, better } = primaryOf(task, score);
  if (interval === null) return null;
  // Below 0 is worse in a difference, whichever way the metric runs.
  return better === 'lower'
    ? [baseline - interval[1], baseline - interval[0]]
    : [baseline + interval[0], baseline + interval[1]];
}

function divergencePanel({ variants, reference }: VariantsResult): ScatterPanel {
  const points = variants.flatMap((variant) => {
    if (variant.reference) return pointOf(variant, 0, null);
    const kl = variant.distributions?.kl;
    return kl == null ? [] : pointOf(variant, kl.mean, null);
  });
  // The reference alone says nothing.
  return {
    title: `mean KL(${reference} || variant), nats a token`,
    points: points.length > 1 ? points : [],
    line: null,
  };
}

const scaled = (interval: [number, number] | null, scale: number): [number, number] | null =>
  interval === null ? null : [scale * interval[0], scale * interval[1]];
