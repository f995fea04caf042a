/** Chromium for tests of the page: Debian's, without a window and without any network. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** Where the browser is; `NANOEVAL_TEST_CHROMIUM` names another one. */
const USUAL = ['/usr/bin/chromium', '/usr/bin/google-chrome'] as const;
export const CHROMIUM = process.env.NANOEVAL_TEST_CHROMIUM ?? USUAL.find(existsSync) ?? USUAL[0];

/** Why tests that need it are skipped; false where it is there. */
export const noBrowser = existsSync(CHROMIUM)
  ? false
  : `no browser at ${CHROMIUM} (apt-get install chromium, or NANOEVAL_TEST_CHROMIUM)`;

/** No address is known to it but that of this machine. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // In a container there are no namespaces to shut it in.
    args: [
      '--no-sandbox',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      '--disable-background-networking',
    ],
  });
}

/** A page and what went on in it. */
export interface Watched {
  page: Page;
  context: BrowserContext;
  /** Addresses that were asked for, less the page's own. */
  requests: string[];
  /** Errors of scripts, of the console and of the page's policy. */
  faults: string[];
}

/** Opens an address and writes down what it asks for and what goes wrong. */
export async function watch(
  browser: Browser,
  address: string,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1300, height: 900 }, ...options });
  const page = await context.newPage();
  const watched: Watched = { page, context, requests: [], faults: [] };
  const own = address.replace(/#.*/, '');
  page.on('request', (request) => {
    if (request.url().replace(/#.*/, '') !== own && !request.url().startsWith('data:image/'))
      watched.requests.push(request.url());
  });
  page.on('pageerror', (error) => watched.faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') watched.faults.push(message.text());
  });
  await page.goto(address);
  return watched;
}
