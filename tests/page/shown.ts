/** The browser and the pages that the tests of a process share. */
import { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { temporaryFolder } from '../spawn.ts';
import { openBrowser, type Watched, watch } from './browser.ts';
import { type Pages, plantPages } from './planted.ts';

const folder = temporaryFolder('page');
let browser: Promise<Browser> | null = null;
let pages: Promise<Pages> | null = null;
after(async () => {
  await (await browser)?.close();
  folder.remove();
});

export function plantedPages(): Promise<Pages> {
  pages ??= plantPages(folder.path);
  return pages;
}

/** A page of a file, as soon as it shows something. */
export async function show(
  path: string,
  hash = '',
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Watched> {
  browser ??= openBrowser();
  const watched = await watch(await browser, `${pathToFileURL(path).href}${hash}`, options);
  await watched.page.waitForSelector('main > *');
  return watched;
}
