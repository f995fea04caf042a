/** What a run says while it works, on stderr: lines, and one moving line in a terminal. */
import type { Log, Progress } from '../types.ts';

/** What of `process.stderr` is used; tests bring their own. */
export interface LogStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  /** Width of the terminal in cells; read at every draw, since windows are resized. */
  columns?: number | undefined;
}

/** At most ten draws a second: more cannot be read, and over ssh they cost. */
const DRAW_EVERY_MS = 100;
/** In a file or a CI log. */
const LINE_EVERY_MS = 5000;
/** The rate is that of the last ten seconds: since the start would be wrong for hours after a resume or a slow start. */
const RATE_WINDOW_MS = 10_000;
const SAMPLE_EVERY_MS = 250;
/** A rate over less than this is noise. */
const RATE_SPAN_MS = 500;

const BAR_CELLS = { most: 24, least: 8 };
const CLEAR_LINE = '\r\u001b[2K';

/**
 * A log on `stream`. In a terminal progress is one line, redrawn in place, never wider than the window, with `info`
 * lines above it; elsewhere it is a plain line every 5 s and one when a label reaches its total. A new label starts a new
 * line, so labels come one after the other. No colours, and no timers: it draws when it is called, and a process can
 * end at any time. `close` ends the moving line; call it before writing anything else to the terminal.
 *
 * @param options.now a clock in milliseconds; only differences count
 */
export function openLog(options: { stream?: LogStream; now?: () => number } = {}): Log & { close(): void } {
  const { stream = process.stderr, now = () => performance.now() } = options;
  const isTerminal = stream.isTTY === true;
  let work: Work | null = null;
  let lastWrite = Number.NEGATIVE_INFINITY;

  /** Draws the work as it stands now. */
  const write = (current: Work, time: number): void => {
    if (isTerminal) {
      // One cell stays free: a line as wide as the window makes some terminals scroll.
      stream.write(CLEAR_LINE + barLine(current, (stream.columns || 80) - 1));
    } else {
      stream.write(`${parts(current).join('  ')}\n`);
    }
    current.written = current.progress;
    lastWrite = time;
  };

  /** The work is over, or another one takes its place. */
  const leave = (time: number, mustShow: boolean): void => {
    if (work === null) return;
    // Calls after the end change nothing that a reader of a file would want a second line for.
    const isTold = !isTerminal && work.written !== null && isFinished(work.written);
    if (mustShow && !isTold && work.written !== work.progress) write(work, time);
    if (isTerminal && work.written !== null) stream.write('\n');
    work = null;
  };

  return {
    info(line) {
      if (!isTerminal || work === null) {
        stream.write(`${line}\n`);
        return;
      }
      if (isFinished(work.progress)) {
        leave(now(), true);
        stream.write(`${line}\n`);
        return;
      }
      stream.write(`${CLEAR_LINE}${line}\n`);
      write(work, now());
    },

    progress(progress) {
      if (isSmallDownload(progress)) return;
      const time = now();
      if (work !== null && work.progress.label !== progress.label) {
        leave(time, isTerminal || time - lastWrite >= LINE_EVERY_MS);
      }
      if (work === null) {
        const first = { ...progress };
        work = { progress: first, start: time, last: time, samples: [{ time, done: progress.done }], written: null };
        // In a file the first line comes after the first interval: a download of a second is one line, at its end.
        if (!isTerminal && lastWrite === Number.NEGATIVE_INFINITY) lastWrite = time;
        if (isTerminal || isFinished(progress)) write(work, time);
        return;
      }
      const wasFinished = isFinished(work.progress);
      work.progress = { ...progress };
      work.last = time;
      sample(work, time);
      const ends = isFinished(progress) && !wasFinished;
      if (ends || time - lastWrite >= (isTerminal ? DRAW_EVERY_MS : LINE_EVERY_MS)) {
        if (ends || isTerminal || !wasFinished) write(work, time);
      }
    },

    close() {
      leave(now(), true);
    },
  };
}

/** A config or a tokenizer is here at once; a line for each would only be noise. */
const isSmallDownload = ({ unit, total }: Progress) => unit === 'MB' && total !== null && total < 1e6;

// ---------------------------------------------------------------- the work under way

interface Work {
  progress: Progress;
  /** Clock of the first and the latest call with this label. */
  start: number;
  last: number;
  /** Oldest first; the first is at the start of the rate's window or just before it. */
  samples: { time: number; done: number }[];
  /** What stands on the screen or in the file; null: nothing yet. */
  written: Progress | null;
}

function isFinished({ done, total }: Progress): boolean {
  return total !== null && done >= total;
}

function sample(work: Work, time: number): void {
  const { samples, progress } = work;
  const newest = samples.at(-1)!;
  if (progress.done < newest.done) {
    // A download that starts again: its past says nothing about its speed.
    samples.length = 0;
  } else if (time - newest.time < SAMPLE_EVERY_MS) {
    return;
  }
  samples.push({ time, done: progress.done });
  while (samples.length > 2 && samples[1]!.time <= time - RATE_WINDOW_MS) samples.shift();
}

/** Units a second over the window; null while too little is known. */
function rateOf({ samples, progress, last }: Work): number | null {
  const oldest = samples[0]!;
  const span = last - oldest.time;
  return span < RATE_SPAN_MS ? null : ((progress.done - oldest.done) / span) * 1000;
}

// ---------------------------------------------------------------- the line

/** `hellaswag`, `45 %`, `4519/10042 rows`, `123 rows/s`, `ETA 0:45`, `acc_norm 0.431`: those that are known. */
function parts(work: Work): string[] {
  const { label, done, total, unit, note } = work.progress;
  const count = (x: number) => (unit === 'MB' ? (x / 1e6).toFixed(1) : String(x));
  const shown = [oneLine(label)];
  // Rounded down: 100 % is said when nothing is left.
  if (total !== null)
    shown.push(`${String(total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100))).padStart(3)} %`);
  shown.push(`${total === null ? count(done) : `${count(done)}/${count(total)}`} ${unit}`);
  const rate = rateOf(work);
  if (rate !== null) shown.push(`${speed(unit === 'MB' ? rate / 1e6 : rate)} ${unit}/s`);
  if (isFinished(work.progress)) {
    if (work.last > work.start) shown.push(`in ${duration(work.last - work.start)}`);
  } else if (total !== null && rate !== null && rate > 0) {
    shown.push(`ETA ${duration(((total - done) / rate) * 1000)}`);
  }
  if (note) shown.push(oneLine(note));
  return shown;
}

/** The parts with a bar behind the label, in at most `width` cells: the bar gives way first, then the end is cut. */
function barLine(work: Work, width: number): string {
  const { done, total } = work.progress;
  const [label, ...rest] = parts(work);
  const line = [label!, ...rest].join('  ');
  const room = Math.min(BAR_CELLS.most, width - cells(line) - 4);
  if (total === null || room < BAR_CELLS.least) return cut(line, width);
  const filled = total === 0 ? room : Math.min(room, Math.floor((done / total) * room));
  const bar = `[${'='.repeat(filled)}${' '.repeat(room - filled)}]`;
  return [label!, bar, ...rest].join('  ');
}

function speed(rate: number): string {
  return rate >= 100 ? rate.toFixed(0) : rate >= 10 ? rate.toFixed(1) : rate.toFixed(2);
}

/** `0:45`, `12:03`, `3:05:59`. */
function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const two = (x: number) => String(x).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A control character in a file name must not move the cursor. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

/** CJK, Hangul, full-width forms and emoji take two cells of a terminal (Unicode TR11, its larger blocks). */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;

function cells(text: string): number {
  let sum = 0;
  for (const c of text) sum += WIDE.test(c) ? 2 : 1;
  return sum;
}

function cut(text: string, width: number): string {
  if (cells(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const c of text) {
    used += cells(c);
    if (used > width - 1) break;
    kept += c;
  }
  return width > 0 ? `${kept}…` : '';
}
