/** Small random edits of the example configs: whatever comes of them is read, or refused in one line with its place. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../nanoeval/config/check.ts';
import { readConfigFile } from '../../nanoeval/config/file.ts';
import { rescoreSchema, type TaskConfig } from '../../nanoeval/config/keys.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { PythonRandom } from '../../nanoeval/data/python_random.ts';
import { checkConfig } from '../../nanoeval/run/check.ts';
import { allTasks } from '../../nanoeval/schema.ts';
import { UserError } from '../../nanoeval/types.ts';
import { ROOT, temporaryFolder } from '../spawn.ts';

/** Edits of each file; more by hand, with NANOEVAL_FUZZ=<n>. */
const EDITS = Number(process.env.NANOEVAL_FUZZ ?? 25);
/** What YAML has a meaning for, and what people paste. */
const PIECES = [
  '? ',
  ': ',
  '- ',
  '{a: 1}',
  '[',
  ']',
  '{',
  '}',
  '"',
  "'",
  '#',
  '&x ',
  '*x',
  '!',
  '!!set ',
  '!foo ',
  '|\n',
  '>\n',
  '%',
  '@',
  '`',
  '~',
  '<<: ',
  '\t',
  '\n',
  '\r',
  '  ',
  '---\n',
  '...\n',
  '\\',
  '\u2028',
  '\u0007',
  '\u00a0',
  'null',
  'true',
  '.nan',
  '.inf',
  '1e999',
  '0x',
  '__proto__: 1\n',
  ',',
];

const folder = temporaryFolder('fuzz');
after(folder.remove);
const tasks = await allTasks();
const sources = ['configs', 'suites'].flatMap((name) =>
  readdirSync(join(ROOT, name))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => readFileSync(join(ROOT, name, file), 'utf8')),
);

/** The text with one to three pieces put in, cut out, doubled or put elsewhere. */
function edited(text: string, random: PythonRandom): string {
  const below = (n: number) => Math.floor(random.random() * n);
  let now = text;
  for (let n = 1 + below(3); n > 0; n -= 1) {
    const at = below(now.length + 1);
    const cut = now.slice(at, at + 1 + below(12));
    const rest = now.slice(0, at) + now.slice(at + cut.length);
    const to = below(rest.length + 1);
    now = [
      now.slice(0, at) + PIECES[below(PIECES.length)]! + now.slice(at),
      rest,
      now.slice(0, at) + cut + now.slice(at),
      rest.slice(0, to) + cut + rest.slice(to),
    ][below(4)]!;
  }
  return now;
}

/** Reads a file as the program would that it is for. */
function read(path: string): void {
  const file = readConfigFile('NANOEVAL_CONFIG', path, 'configs/x.yaml');
  if ('tasks' in file.data) parseConfig(file, 'models' in file.data ? manyModelsSchema : suiteSchema);
  else if ('runs' in file.data) parseConfig(file, rescoreSchema);
  else {
    const task = tasks.find(({ name }) => name === file.data.task) ?? tasks[0]!;
    checkConfig(task, parseConfig(file, task.config) as TaskConfig);
  }
}

test('an edited config is read, or refused in one line that says where', async () => {
  const path = join(folder.path, 'config.yaml');
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => void warnings.push(message);
  process.on('warning', onWarning);
  const random = new PythonRandom(20);
  let refused = 0;
  for (const source of sources) {
    for (let n = 0; n < EDITS; n += 1) {
      const text = edited(source, random);
      writeFileSync(path, text);
      try {
        read(path);
      } catch (error) {
        assert.ok(error instanceof UserError, `${(error as Error).stack}\n${text}`);
        assert.doesNotMatch(error.message, /[\p{Cc}\u2028\u2029]/u, text);
        // Keys that do not go together are placed by the program.
        if (error.key === undefined) assert.match(error.message, /^\S+config\.yaml(:\d+:\d+)?: ./u, text);
        refused += 1;
      }
    }
  }
  await new Promise(setImmediate);
  process.off('warning', onWarning);
  assert.deepEqual(warnings, []);
  assert.ok(refused > 0 && refused < sources.length * EDITS, `${refused} refused`);
});
