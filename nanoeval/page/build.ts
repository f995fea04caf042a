/**
 * Makes the script and the style of report.html from the files beside this one: `npm run page`. What it makes is committed, so that
 * nothing is built when a page is written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import { isProgram } from '../program.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));

const OPTIONS: BuildOptions = {
  bundle: true,
  minify: true,
  write: false,
  format: 'iife',
  charset: 'utf8',
  // Browsers that have DecompressionStream and light-dark() (2024).
  target: ['chrome123', 'firefox120', 'safari17.5'],
  legalComments: 'none',
};

async function bundle(name: string, more: BuildOptions = {}): Promise<string> {
  const { outputFiles } = await build({ ...OPTIONS, ...more, entryPoints: [join(HERE, name)] });
  // An element of a script would end there.
  const text = outputFiles![0]!.text;
  if (/<\/script|<!--/i.test(text)) throw new Error(`${name}: holds what ends a script element.`);
  return text;
}

/** The files of `built/`, by their names. */
export async function buildPage(): Promise<Record<string, string>> {
  const preact = dirname(createRequire(import.meta.url).resolve('preact/package.json'));
  return {
    'page.js': await bundle('main.ts'),
    'interpreter.js': await bundle('interpreter.ts'),
    'page.css': await bundle('page.css'),
    LICENSES: `preact\n\n${readFileSync(join(preact, 'LICENSE'), 'utf8')}`,
  };
}

if (isProgram(import.meta.url)) {
  for (const [name, text] of Object.entries(await buildPage())) writeFileSync(join(HERE, 'built', name), text);
}
