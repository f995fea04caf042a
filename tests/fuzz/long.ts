/**
 * The long form of the fuzz: each seed changes some bytes of a small file, and reading it must give what a whole file gives,
 * or exactly one line, never another error, a rejection that nobody waits for, or more than 10 seconds.
 *
 * `npm run test:fuzz` tries 2,000 seeds a subject, or as many as its first argument says, from the second on, of the subjects
 * whose names have the third in them.
 */
import { fileURLToPath } from 'node:url';
import { CHECKPOINT } from './checkpoint.ts';
import { FORMATS } from './data.ts';
import { GRAPH, GRAPH_READER } from './graph.ts';
import { PICTURES } from './pictures.ts';
import { TOKENIZER, TOKENIZER_CONFIG } from './tokenizer.ts';
import { readSeeds, type Subject, watchSeeds } from './watch.ts';

const SUBJECTS: readonly Subject[] = [
  ...FORMATS,
  TOKENIZER,
  TOKENIZER_CONFIG,
  GRAPH_READER,
  GRAPH,
  CHECKPOINT,
  ...PICTURES,
];

async function main(): Promise<void> {
  const [first, second, third, fourth] = process.argv.slice(2);
  if (first === '--child') {
    const subject = SUBJECTS.find(({ name }) => name === second)!;
    return readSeeds(subject, Number(third), Number(fourth));
  }
  const start = Number(second ?? 0);
  const stop = start + Number(first ?? 2000);
  let count = 0;
  for (const subject of SUBJECTS.filter(({ name }) => name.includes(third ?? ''))) {
    const began = performance.now();
    const { faults, kinds } = await watchSeeds(fileURLToPath(import.meta.url), subject, start, stop);
    const told = [...kinds].map(([kind, seeds]) => `${seeds} ${kind}`).join(', ');
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    console.log(`${subject.name}: seeds ${start} to ${stop - 1}, ${seconds} s, ${told}, ${faults.length} faults`);
    for (const fault of faults) console.log(fault);
    count += faults.length;
  }
  process.exitCode = count === 0 ? 0 : 1;
}

await main();
