import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { binomialMass, criticalValue } from '../../nanoeval/score/distributions.ts';
import {
  correctedStatistic,
  differenceInterval,
  holm,
  mcNemar,
  scoreDeviation,
  scoreSkewness,
  scoreStatistic,
  tangoInterval,
} from '../../nanoeval/score/paired.ts';

/** Made by tests/fixtures/statistics/make.py. */
const reference = JSON.parse(
  readFileSync(new URL('../fixtures/statistics/reference.json', import.meta.url), 'utf8'),
) as {
  mcnemar: [wins: number, losses: number, p: number][];
  tango: [wins: number, losses: number, n: number, level: number, low: number, high: number][];
  holm: [number[], number[]];
};

function near(found: number, wanted: number, of: string, tolerance = 1e-9): void {
  assert.ok(Math.abs(found - wanted) <= tolerance, `${of}: ${found} is not ${wanted}`);
}

test('exact McNemar as scipy.stats.binomtest and statsmodels', () => {
  for (const [wins, losses, p] of reference.mcnemar) near(mcNemar(wins, losses), p, `${wins}, ${losses}`, 1e-9 * p);
  assert.equal(mcNemar(0, 0), 1);
  assert.equal(mcNemar(4, 0), 2 / 16);
  assert.equal(mcNemar(7, 3), mcNemar(3, 7));
  for (let wins = 0; wins < 20; wins += 1) assert.ok(mcNemar(wins, 20) <= mcNemar(wins + 1, 20));
  assert.throws(() => mcNemar(-1, 2), /whole numbers/);
  assert.throws(() => mcNemar(0.5, 2), /whole numbers/);
});

test("Tango's interval, as its test inverted with likelihoods maximised numerically", () => {
  for (const [wins, losses, n, level, low, high] of reference.tango) {
    const found = tangoInterval(wins, losses, n, level);
    near(found.low, low, `${wins}, ${losses} of ${n}: low`);
    near(found.high, high, `${wins}, ${losses} of ${n}: high`);
  }
});

test("Tango's interval as published: Fagerland, Lydersen & Laake (2014), table of intervals for 1 and 7 of 21", () => {
  const { low, high } = tangoInterval(1, 7, 21, 0.95);
  assert.deepEqual([low.toFixed(3), high.toFixed(3)], ['-0.517', '-0.026']);
});

test('swapped runs mirror the interval; it holds the difference and stays inside [-1, 1]', () => {
  for (const n of [1, 7, 300])
    for (let wins = 0; wins <= n; wins += Math.ceil(n / 7))
      for (let losses = 0; wins + losses <= n; losses += Math.ceil(n / 7)) {
        const { low, high } = differenceInterval(wins, losses, n, 0.95);
        const swapped = differenceInterval(losses, wins, n, 0.95);
        assert.deepEqual([low, high], [0 - swapped.high, 0 - swapped.low]);
        assert.ok(-1 <= low && low <= (wins - losses) / n && (wins - losses) / n <= high && high <= 1);
        assert.ok(low < high);
      }
});

test('more wins, fewer losses move both ends up; a higher level holds a lower one', () => {
  const [n, levels] = [60, [0.8, 0.95, 0.99, 1 - 0.05 / 20]];
  for (let wins = 0; wins < 20; wins += 1)
    for (let losses = 1; losses < 20; losses += 1) {
      const now = differenceInterval(wins, losses, n, 0.95);
      for (const better of [
        differenceInterval(wins + 1, losses, n, 0.95),
        differenceInterval(wins, losses - 1, n, 0.95),
      ])
        assert.ok(better.low > now.low && better.high > now.high, `${wins}, ${losses}`);
    }
  for (const [wins, losses] of [
    [0, 0],
    [3, 9],
    [40, 20],
  ] as const) {
    const ends = levels.map((level) => differenceInterval(wins, losses, n, level));
    for (let i = 1; i < ends.length; i += 1)
      assert.ok(ends[i]!.low < ends[i - 1]!.low && ends[i]!.high > ends[i - 1]!.high);
  }
});

test('an end beyond a value is what the score test at that value says, without a search', () => {
  const z = criticalValue(0.95);
  for (let losses = 0; losses < 40; losses += 1)
    for (const at of [-0.02, 0, 0.01]) {
      const { low, high } = differenceInterval(8, losses, 500, 0.95);
      assert.equal(high < at, correctedStatistic(8, losses, 500, at, z) < -z);
      assert.equal(low > at, correctedStatistic(8, losses, 500, at, z) > z);
      const plain = tangoInterval(8, losses, 500, 0.95);
      assert.equal(plain.high < at, scoreStatistic(8, losses, 500, at) < -z);
    }
});

test('the skewness is that of the three values of a row, counted out', () => {
  for (const [wins, losses, n, difference] of [
    [0, 7, 200, -0.01],
    [2, 9, 200, -0.02],
    [30, 45, 150, -0.05],
    [12, 3, 80, 0.04],
  ] as const) {
    // The deviation gives the shares of the hypothesis: n (win + loss - d^2) with win - loss = d.
    const square = scoreDeviation(wins, losses, n, difference) ** 2 / n + difference ** 2;
    const [win, loss] = [(square + difference) / 2, (square - difference) / 2];
    const central = (power: number) =>
      win * (1 - difference) ** power + loss * (-1 - difference) ** power + (1 - win - loss) * (-difference) ** power;
    near(
      scoreSkewness(wins, losses, n, difference),
      central(3) / central(2) ** 1.5 / Math.sqrt(n),
      `${wins}, ${losses}`,
    );
  }
  assert.ok(Math.abs(scoreSkewness(5, 9, 100, 0)) === 0);
});

test("corrected for skewness the interval is Tango's or wider, at the end nearer to 0 alone, and less so with more rows", () => {
  for (const n of [200, 1000])
    for (let wins = 0; wins <= 12; wins += 3)
      for (let losses = 0; losses <= 12; losses += 1) {
        const [plain, corrected] = [tangoInterval(wins, losses, n, 0.95), differenceInterval(wins, losses, n, 0.95)];
        assert.ok(corrected.low <= plain.low && corrected.high >= plain.high);
        const holdsZero = plain.low <= 0 && plain.high >= 0;
        if (holdsZero) assert.deepEqual(corrected, plain);
        else
          assert.ok(plain.high < 0 ? corrected.low === plain.low && corrected.high < 0 : corrected.high === plain.high);
      }
  const moved = (scale: number) => {
    const [plain, corrected] = [tangoInterval, differenceInterval].map((of) => of(0, 8 * scale, 200 * scale, 0.95));
    return (corrected!.high - plain!.high) / (plain!.high - plain!.low);
  };
  assert.ok(moved(1) > 0.01 && moved(10) < moved(1) / 3, `${moved(1)} ${moved(10)}`);
});

test('a drop of exactly what is allowed is called a regression in about 2.5 % of runs, by enumeration', () => {
  const z = criticalValue(0.95);
  const share = (n: number, discordance: number, drop: number, statistic: typeof correctedStatistic) => {
    const [win, loss] = [discordance / 2, discordance / 2 + drop];
    let sum = 0;
    for (let wins = 0; wins <= 30; wins += 1)
      for (let losses = 0; losses <= 60; losses += 1)
        if (statistic(wins, losses, n, -drop, z) < -z)
          sum += binomialMass(wins, n, win) * binomialMass(losses, n - wins, loss / (1 - win));
    return sum;
  };
  for (const [discordance, drop, most, before] of [
    [0.02, 0.01, 0.025, 0.035],
    [0.02, 0.02, 0.028, 0.041],
    [0.01, 0.02, 0.028, 0.05],
  ] as const) {
    assert.ok(share(200, discordance, drop, correctedStatistic) < most);
    assert.ok(share(200, discordance, drop, scoreStatistic) > before);
  }
});

test('counts and levels out of range are refused', () => {
  assert.throws(() => differenceInterval(3, 3, 5, 0.95), /together at most the rows/);
  assert.throws(() => differenceInterval(0, 0, 0, 0.95), /together at most the rows/);
  assert.throws(() => differenceInterval(1, 1, 5, 1), /level 1/);
});

test("Holm's correction as statsmodels", () => {
  const [values, wanted] = reference.holm;
  for (const [i, p] of holm(values).entries()) near(p, wanted[i]!, `${i}`, 1e-12);
  assert.deepEqual(holm([]), []);
  assert.deepEqual(holm([0.2]), [0.2]);
  assert.throws(() => holm([0.1, 1.1]), /from 0 to 1/);
});
