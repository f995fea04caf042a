/**
 * Python's `datetime.strftime` of a date without a time zone, as glibc writes it in the C locale: English names whatever the
 * user's locale says.
 */

/** A moment by the calendar, without a time zone. */
export interface Moment {
  year: number;
  /** 1 to 12. */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const MOMENT = /^([1-9]\d{3})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d))?$/;

/** `2026-03-05` (midnight) or `2026-03-05 14:30:09` as a moment; null for any other text, and for a day that no month has. */
export function parseMoment(text: string): Moment | null {
  const found = MOMENT.exec(text);
  if (found === null) return null;
  const [year, month, day, hour, minute, second] = found.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(Date.UTC(year, month - 1, day));
  const isDay = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isDay && hour < 24 && minute < 60 && second < 60 ? { year, month, day, hour, minute, second } : null;
}

/** A moment as `parseMoment` reads it; midnight is left out. */
export function momentText({ year, month, day, hour, minute, second }: Moment): string {
  const [m, d, h, min, s] = [month, day, hour, minute, second].map((part) => String(part).padStart(2, '0'));
  const time = hour + minute + second === 0 ? '' : ` ${h}:${min}:${s}`;
  return `${year}-${m}-${d}${time}`;
}

/** The moment that the clock of this machine shows, in its own time zone. */
export function momentOf(date: Date): Moment {
  return {
    year: date.getFullYear(),
    month: date.getMonth() + 1,
    day: date.getDate(),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
  };
}

const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ['January', 'February', 'March', 'April', 'May', 'June'],
  ['July', 'August', 'September', 'October', 'November', 'December'],
].flat();
const DAY = 86_400_000;

/** The day of the year from 1, the weekday from Sunday (0), and the week and year of ISO 8601. */
function calendar({ year, month, day }: Moment) {
  const at = Date.UTC(year, month - 1, day);
  const weekday = new Date(at).getUTCDay();
  const yearDay = Math.round((at - Date.UTC(year, 0, 1)) / DAY) + 1;
  // A week belongs to the year that has its Thursday.
  const thursday = at + (4 - (weekday || 7)) * DAY;
  const isoYear = new Date(thursday).getUTCFullYear();
  const isoWeek = Math.floor((thursday - Date.UTC(isoYear, 0, 1)) / (7 * DAY)) + 1;
  return { weekday, yearDay, isoYear, isoWeek };
}

/** Codes that stand for others. */
const COMPOUND: Record<string, string> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  r: '%I:%M:%S %p',
  R: '%H:%M',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
};

/** A number with its usual width and filling, or a text. */
type Part = { number: number; width: number; fill: '0' | ' ' } | string;

function partOf(code: string, moment: Moment): Part | null {
  const { weekday, yearDay, isoYear, isoWeek } = calendar(moment);
  const { year, month, day, hour, minute, second } = moment;
  const two = (number: number, fill: '0' | ' ' = '0'): Part => ({ number, width: 2, fill });
  const whole = (number: number, width = 1): Part => ({ number, width, fill: '0' });
  const twelve = hour % 12 === 0 ? 12 : hour % 12;
  const parts: Record<string, () => Part> = {
    a: () => WEEKDAYS[weekday]!.slice(0, 3),
    A: () => WEEKDAYS[weekday]!,
    b: () => MONTHS[month - 1]!.slice(0, 3),
    B: () => MONTHS[month - 1]!,
    C: () => two(Math.floor(year / 100)),
    d: () => two(day),
    e: () => two(day, ' '),
    f: () => '000000',
    g: () => two(isoYear % 100),
    G: () => whole(isoYear),
    h: () => MONTHS[month - 1]!.slice(0, 3),
    H: () => two(hour),
    I: () => two(twelve),
    j: () => whole(yearDay, 3),
    k: () => two(hour, ' '),
    l: () => two(twelve, ' '),
    m: () => two(month),
    M: () => two(minute),
    n: () => '\n',
    p: () => (hour < 12 ? 'AM' : 'PM'),
    P: () => (hour < 12 ? 'am' : 'pm'),
    S: () => two(second),
    t: () => '\t',
    u: () => whole(weekday || 7),
    U: () => two(Math.floor((yearDay + 6 - weekday) / 7)),
    V: () => two(isoWeek),
    w: () => whole(weekday),
    W: () => two(Math.floor((yearDay + 6 - ((weekday + 6) % 7)) / 7)),
    y: () => two(year % 100),
    Y: () => whole(year),
    z: () => '',
    Z: () => '',
    '%': () => '%',
  };
  if (Object.hasOwn(COMPOUND, code)) return strftime(COMPOUND[code]!, moment);
  return Object.hasOwn(parts, code) ? parts[code]!() : null;
}

/**
 * Python's `datetime.strftime(format)`. Flags of glibc (`%-d`, `%_d`, `%^a`, `%#p`), widths and the modifiers E and O are
 * read; what is no code stays as it is. Throws Error for `%s`, which depends on a time zone.
 */
export function strftime(format: string, moment: Moment): string {
  return format.replace(
    /%([-_0^#]*)(\d*)([EO]?)([A-Za-z%])/g,
    (whole, flags: string, width: string, _, code: string) => {
      if (code === 's') throw new Error('strftime: the code %s is not supported here: it depends on a time zone');
      const part = partOf(code, moment);
      if (part === null) return whole;
      const fills = flags.replace(/[\^#]/g, '').at(-1);
      const text = typeof part === 'string' ? part : String(part.number);
      const usual = typeof part === 'string' ? ' ' : part.fill;
      const fill = fills === '0' ? '0' : fills === undefined ? usual : ' ';
      const least = typeof part === 'string' || fills === '-' ? 0 : part.width;
      return cased(text, code, flags).padStart(Math.max(least, Number(width)), fill);
    },
  );
}

/** `^` makes capitals; `#` turns the case of a name: AM and PM become small, the others capitals. */
function cased(text: string, code: string, flags: string): string {
  if (flags.includes('#') && code === 'p') return text.toLowerCase();
  return flags.includes('^') || (flags.includes('#') && 'aAbBh'.includes(code)) ? text.toUpperCase() : text;
}
