/**
 * `npm test`: every test file, two processes at once. A process costs more than most files take, so the files of a folder of
 * SHARING share some; the others have one each. The long ones begin first, so that none is left to run by itself at the end.
 *
 *   npm test [-- tests/data tests/run ...]              all, or those whose paths begin so
 *   node --import tsx --test tests/run/lock.test.ts     one file
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath, pathToFileURL } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Files that take the longest, the longest first. */
const LONG = [
  'resume',
  'kill',
  'started_servers',
  'rescore',
  'program',
  'sampling',
  'suite',
  'demonstration',
  'variants',
  'model/model',
  'model/engine/engine',
  'model/engine/workers',
  'run/run',
];

/** Folders whose files run in one process as they do in their own. */
const SHARING = [
  'compare',
  'config',
  'model/jinja',
  'model/tokenizer',
  'page',
  'prompt',
  'report',
  'score',
  'score/ifeval',
  'score/sandbox',
  'suite',
  'text',
];

/** Files of them that look at their own process, or change it: its memory, its workers, its home, its folder. */
const ALONE = [
  'page/build',
  'page/live',
  'model/prepare',
  'model/engine/worker',
  'config/paths',
  'compare/baseline',
  'house',
];

/** The most files of a folder in one process. */
const MOST = 12;

const files = readdirSync(HERE, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.test.ts'))
  .sort();
const asked = process.argv.slice(2).map((path) => path.replace(/^(\.\/)?tests\/?/, ''));
const isAsked = (path: string) => asked.length === 0 || asked.some((beginning) => path.startsWith(beginning));
const listed = new Set([...LONG, ...ALONE].map((name) => `${name}.test.ts`));
const missing = [...listed].filter((path) => !files.includes(path));
if (missing.length > 0) throw new Error(`tests/all.ts names files that are not there: ${missing.join(', ')}`);

/** The files that share a process, those of a folder together. */
function* shares(): Generator<string[]> {
  const others = files.filter((path) => !listed.has(path) && isAsked(path));
  for (const folder of new Set(others.map(dirname))) {
    const own = others.filter((path) => dirname(path) === folder);
    const most = SHARING.includes(folder) ? MOST : 1;
    for (let i = 0; i < own.length; i += most) yield own.slice(i, i + most);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-tests-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const shared = [...shares()].map((paths, i) => {
  if (paths.length === 1) return join(HERE, paths[0]!);
  const path = join(folder, `${i}.mjs`);
  writeFileSync(path, paths.map((one) => `import '${pathToFileURL(join(HERE, one)).href}';\n`).join(''));
  return path;
});
const alone = (names: readonly string[]) =>
  names
    .map((name) => `${name}.test.ts`)
    .filter(isAsked)
    .map((path) => join(HERE, path));

// As the engine's workers have it (model/engine/crossing.ts): some of them live in the test's process.
Object.assign(process.env, { MALLOC_MMAP_THRESHOLD_: '33554432', MALLOC_TRIM_THRESHOLD_: '2000000000' });
let passed = 0;
run({ files: [...alone(LONG), ...shared, ...alone(ALONE)], concurrency: 2 })
  .on('test:pass', () => {
    passed += 1;
  })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout)
  .on('finish', () => {
    if (passed === 0) process.exitCode = 1;
  });
