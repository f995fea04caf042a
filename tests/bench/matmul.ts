/**
 * A process that says how many operations a second onnxruntime reaches in products of float32 matrices: what the
 * machine gives at best. Started by `openMatmul`, spoken to by messages; the weights of its graphs are random and
 * constant, as a model's are.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { graphWriter } from '../model/onnx_writer.ts';
import { seeded } from './rows.ts';

/** Rows, inner size, columns. */
export type Product = readonly [m: number, k: number, n: number];

export interface Matmul {
  pid: number;
  /** GFLOP/s of a product, the best of some. */
  rate(product: Product): Promise<number>;
  close(): void;
}

/** Starts the process. */
export function openMatmul(threads: number): Matmul {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), [`${threads}`], { execArgv: ['--import', tsx] });
  return {
    pid: child.pid!,
    rate(product) {
      return new Promise((resolve, reject) => {
        const gone = () => reject(new Error('the process that multiplies matrices ended'));
        child.once('exit', gone);
        child.once('message', (rate) => {
          child.off('exit', gone);
          resolve(rate as number);
        });
        child.send(product);
      });
    },
    close: () => child.disconnect(),
  };
}

/** Products of one pass of a graph, each with weights of its own: small ones would measure the call. */
const productsOf = ([m, k, n]: Product) => Math.max(1, Math.min(8, Math.round(5e9 / (2 * m * k * n))));

async function openProduct(folder: string, product: Product, threads: number): Promise<InferenceSession> {
  const [m, k, n] = product;
  const count = productsOf(product);
  const random = seeded(1);
  const data = Float32Array.from({ length: count * k * n }, () => random() - 0.5);
  const name = product.join('x');
  writeFileSync(join(folder, `${name}.data`), data);
  const graph = graphWriter();
  const x = graph.input('x', 'float32', [m, k]);
  const [zero, one] = [graph.init('int64', [1], [0]), graph.init('int64', [1], [1])];
  const corners: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const external = { location: `${name}.data`, offset: 4 * i * k * n, length: 4 * k * n };
    const whole = graph.node('MatMul', [x, graph.init('float32', [k, n], [], external)]);
    // A corner of each product comes back; to copy the whole would take as long as to compute it.
    corners.push(graph.node('Slice', [whole, zero, one, zero]));
  }
  graph.node('Concat', corners, { axis: 0 }, 'y');
  graph.output('y', 'float32', [count, n]);
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, graph.bytes());
  return InferenceSession.create(path, { intraOpNumThreads: threads, logSeverityLevel: 4 });
}

const LEAST_MS = 200;

async function bestRate(session: InferenceSession, product: Product): Promise<number> {
  const [m, k, n] = product;
  const random = seeded(2);
  const x = new Tensor(
    'float32',
    Float32Array.from({ length: m * k }, () => random() - 0.5),
    [m, k],
  );
  let best = 0;
  const begin = performance.now();
  for (let i = 0; i < 4 || performance.now() - begin < LEAST_MS; i += 1) {
    const start = performance.now();
    await session.run({ x });
    const seconds = (performance.now() - start) / 1000;
    best = Math.max(best, (productsOf(product) * 2 * m * k * n) / seconds / 1e9);
  }
  return best;
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  env.logLevel = 'fatal';
  const threads = Number(process.argv[2]);
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval-matmul-'));
  const sessions = new Map<string, InferenceSession>();
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  process.on('SIGINT', () => process.exit(1)).on('disconnect', () => process.exit(0));
  process.on('message', async (product: Product) => {
    const key = product.join('x');
    if (!sessions.has(key)) sessions.set(key, await openProduct(folder, product, threads));
    process.send!(await bestRate(sessions.get(key)!, product));
  });
}
