/**
 * A checkpoint of SmolLM2-135M's shape with random weights, in the hub's layout, for machines that have no real one:
 * good for speed, not for scores. The graph is written out as plain operators, as an optimum export is, and its weights
 * lie in one external file that is streamed to disk.
 */
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { graphWriter } from '../model/onnx_writer.ts';
import { keptFolder, weightFile, writeDecoder } from './random_graph.ts';

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  num_hidden_layers: 30,
  hidden_size: 576,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  head_dim: 64,
  intermediate_size: 1536,
  vocab_size: 49152,
  max_position_embeddings: 8192,
  rope_theta: 100000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 2,
};

/** The embedded demo checkpoint, whose tokenizer others borrow. */
export const DEMO = fileURLToPath(new URL('../../nanoeval/demo/checkpoint/', import.meta.url));

/** Where the checkpoint lies; written when it is not there yet. */
export function randomModel(): string {
  return keptFolder('nanoeval-bench-135m', (folder) => {
    const weights = weightFile(join(folder, 'onnx', 'model.onnx_data'));
    const graph = graphWriter();
    writeDecoder(graph, weights, CONFIG);
    weights.close();
    writeFileSync(join(folder, 'onnx', 'model.onnx'), graph.bytes());
    // Its ids lie within the vocabulary.
    copyFileSync(join(DEMO, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    copyFileSync(join(DEMO, 'tokenizer_config.json'), join(folder, 'tokenizer_config.json'));
    writeFileSync(join(folder, 'config.json'), JSON.stringify(CONFIG, null, 2));
  });
}

/** Bytes of the weights of a checkpoint's graph, with its side file. */
export function sizeOfGraph(path: string): number {
  return [path, `${path}_data`].reduce((sum, file) => sum + (existsSync(file) ? statSync(file).size : 0), 0);
}

/** A JSON file's content. */
export const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
