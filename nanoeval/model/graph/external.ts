/** Files in which an ONNX graph keeps weights of its own beside it (TensorProto's `external_data`). */
import { closeSync, openSync } from 'node:fs';
import { type Bytes, type Field, fields, inFile, textAt } from './protobuf.ts';

/**
 * The locations that the graph at `path` names, as it names them: relative to its folder. Empty for a file that is no graph:
 * what is wrong with it is said when it is opened.
 */
export function externalLocations(path: string): string[] {
  const file = openSync(path, 'r');
  const found = new Set<string>();
  try {
    const bytes = inFile(file);
    for (const part of fields(bytes)) if (part.number === 7) inGraph(bytes, part, found);
  } catch (error) {
    // Cut off or no message at all.
    if ((error as Error).constructor !== Error) throw error;
  } finally {
    closeSync(file);
  }
  return [...found];
}

const within = (bytes: Bytes, { start, length }: Field) => fields(bytes, start, start + length);

/** Of initializers, and of nodes that hold a tensor or a graph. */
function inGraph(bytes: Bytes, graph: Field, found: Set<string>): void {
  for (const part of within(bytes, graph)) {
    if (part.number === 5) inTensor(bytes, part, found);
    // Nearly no node holds any: thousands of them need not be taken apart.
    if (part.number !== 1 || !Buffer.from(bytes.read(part.start, part.length)).includes('location')) continue;
    for (const attribute of within(bytes, part)) {
      if (attribute.number !== 5) continue;
      for (const value of within(bytes, attribute)) {
        if (value.wire !== 2) continue;
        if (value.number === 5 || value.number === 10) inTensor(bytes, value, found);
        if (value.number === 6 || value.number === 11) inGraph(bytes, value, found);
      }
    }
  }
}

function inTensor(bytes: Bytes, tensor: Field, found: Set<string>): void {
  let [location, isExternal] = [null as string | null, false];
  for (const part of within(bytes, tensor)) {
    if (part.number === 14) isExternal = part.value === 1;
    if (part.number !== 13) continue;
    const [key, value] = [...within(bytes, part)].map((text) => textAt(bytes, text));
    if (key === 'location' && value !== undefined) location = value;
  }
  if (isExternal && location !== null) found.add(location);
}
