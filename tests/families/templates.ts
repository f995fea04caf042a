/**
 * Public chat templates x conversations: Python's texts against ours. Opt-in, for it downloads packages:
 *
 *     bash tests/families/templates.sh
 *
 * or, with templates of your own (a JSON list of {name, template}):
 *
 *     python tests/families/templates.py mine.json tests/families/conversations.json > expected.json
 *     npx tsx tests/families/templates.ts mine.json expected.json
 *
 * Prints a line for each pair that differs and a count; ends with 1 where a conversation of plain texts differs.
 */
import { readFileSync } from 'node:fs';
import { openChatTemplate } from '../../nanoeval/model/chat.ts';
import { Template } from '../../nanoeval/model/jinja/template.ts';
import type { ChatMessage } from '../../nanoeval/questions.ts';
import { parseMoment, strftime } from '../../nanoeval/text/strftime.ts';

type Outcome = { text: string; error?: undefined } | { text?: undefined; error: string };
type Row = Outcome & { template: string; conversation: string };

const DATE = '2026-03-05 14:30:09';
const TOKENS = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const [templatesPath, expectedPath] = process.argv.slice(2) as [string, string];
const conversations: Record<string, ChatMessage[]> = json(new URL('conversations.json', import.meta.url).pathname);
const expected = new Map((json(expectedPath) as Row[]).map((row) => [`${row.template} ${row.conversation}`, row]));

function outcomeOf(work: () => string): Outcome {
  try {
    return { text: work() };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** The interpreter alone, given what Python is given. */
const bare = (template: string) => (messages: ChatMessage[]) =>
  new Template(template, { now: (format) => strftime(format, parseMoment(DATE)!) }).render({
    messages,
    add_generation_prompt: true,
    tools: null,
    documents: null,
    ...TOKENS,
  });
/** As a run renders: parts for templates that would lose a plain text, plain texts for those that read no parts. */
const whole = (template: string) => (messages: ChatMessage[]) =>
  openChatTemplate({ jinja: template, json: null }, {}, TOKENS)!.render(messages, DATE);

const kindOf = (python: Outcome, own: Outcome): string => {
  if (python.text === undefined) return own.text === undefined ? 'both refuse' : 'Python alone refuses';
  if (own.text === undefined) return 'we alone refuse';
  return python.text === own.text ? 'equal' : 'differ';
};

for (const [what, open] of Object.entries({ interpreter: bare, run: whole })) {
  const counts: Record<string, number> = {};
  for (const { name, template } of json(templatesPath) as { name: string; template: string }[]) {
    for (const [conversation, messages] of Object.entries(conversations)) {
      const python = expected.get(`${name} ${conversation}`)!;
      const own = outcomeOf(() => open(template)(messages));
      const kind = kindOf(python, own);
      const group = messages.every(({ content }) => typeof content === 'string') ? 'texts' : 'parts';
      counts[`${group}, ${kind}`] = (counts[`${group}, ${kind}`] ?? 0) + 1;
      if (['equal', 'both refuse'].includes(kind) || (what === 'run' && group === 'parts')) continue;
      console.log(`${what}: ${name}, ${conversation}: ${kind}: ${(own.error ?? python.error ?? '').slice(0, 100)}`);
      if (what === 'interpreter') process.exitCode = 1;
    }
  }
  console.log(what, counts);
}
