/**
 * page.jsonl: what report.html shows of a row beside its prediction (prompts, token ids, small pictures), appended before
 * the row is. What rows share stands there once, before the first line that needs it: beginnings of prompts, the texts of
 * tokens, pictures.
 */
import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import type { Ask, Prompt, Reply } from '../questions.ts';
import type { PagePart, PagePicture, PageRow } from '../report/page_shape.ts';
import { sha256 } from '../text/hash.ts';
import { imagesOf } from '../text/prompt_parts.ts';
import { SharedHeads } from '../text/shared_heads.ts';
import { packNumbers, unpackNumbers } from '../text/varint.ts';
import { FORMAT, OutsideError } from '../types.ts';
import { promptsOf } from './ask.ts';
import { readCompanion } from './companion_file.ts';
import { writeAll } from './files.ts';
import { dropTornLine, rowKey } from './journal.ts';
import { smallPicture } from './small_picture.ts';

/** Bytes of pictures that are kept of a run, as base64. */
const MOST_PICTURES = 64e6;

/** What a row's page entry is made from. */
interface Held {
  ask: Ask;
  reply: Reply;
}

/** What the model tells of tokens: their texts (null: nothing), and whether replies have their ids. */
export interface Told {
  texts: ((ids: readonly number[]) => string[]) | null;
  tokens: boolean;
}

/** The file of a run under way. */
export class Companion {
  private readonly held = new Map<string, Held>();
  private readonly texts = new Map<number, string>();
  private readonly textHeads = new SharedHeads<string>(paragraphEnd);
  private readonly idHeads = new SharedHeads<readonly number[]>((ids, length) => this.idsEnd(ids, length));
  private readonly pictures = new Set<string>();
  private pictureBytes = 0;
  private readonly file: number;
  private readonly path: string;
  /** Rows come with their token ids. */
  readonly tokens: boolean;
  private readonly tokenTexts: Told['texts'];

  private constructor(path: string, { texts, tokens }: Told) {
    this.path = path;
    this.tokenTexts = texts;
    this.tokens = tokens;
    this.file = openSync(path, 'a');
  }

  /** Goes on behind what an earlier process wrote; its torn last line is dropped. Throws UserError for a line that is none. */
  static async open(path: string, told: Told): Promise<Companion> {
    const isNew = !existsSync(path);
    if (!isNew) dropTornLine(path);
    const known = isNew ? null : await readCompanion(path);
    const opened = new Companion(path, told);
    if (known === null) {
      opened.append([{ format: FORMAT }]);
      return opened;
    }
    for (const [number, head] of Object.entries(known.shared.text_heads)) opened.textHeads.add(Number(number), head);
    for (const [number, head] of Object.entries(known.shared.ids_heads))
      opened.idHeads.add(Number(number), unpackNumbers(head));
    for (const [id, text] of Object.entries(known.shared.texts)) opened.texts.set(Number(id), text);
    for (const [hash, { length }] of known.pictures) {
      opened.pictures.add(hash);
      opened.pictureBytes += length;
    }
    return opened;
  }

  /** Keeps what was asked and said until the row is written. */
  hold(key: string, ask: Ask, reply: Reply): void {
    this.held.set(key, { ask, reply });
  }

  /** Writes what is kept of a row; nothing for one that failed before it was answered. Throws OutsideError when the disk refuses. */
  async write(row: Parameters<typeof rowKey>[0]): Promise<void> {
    const key = rowKey(row);
    const held = this.held.get(key);
    if (held === undefined) return;
    this.held.delete(key);
    const lines: object[] = [];
    const { ask, reply } = held;
    const pictures = promptsOf(ask).flatMap(imagesOf);
    const hashes = pictures.map(sha256);
    for (const [i, bytes] of pictures.entries()) {
      if (this.pictures.has(hashes[i]!)) continue;
      this.pictures.add(hashes[i]!);
      lines.push({ picture: hashes[i]!, ...(await this.picture(bytes)) });
    }
    const entry: PageRow = { row: key, ...this.parts(ask, reply, lines) };
    if (hashes.length > 0) entry.pictures = hashes;
    this.append([...lines, entry]);
  }

  close(): void {
    fsyncSync(this.file);
    closeSync(this.file);
  }

  private async picture(bytes: Uint8Array): Promise<PagePicture> {
    if (this.pictureBytes > MOST_PICTURES)
      return { left_out: `the run's pictures together have more than ${MOST_PICTURES / 1e6} MB` };
    const small = await smallPicture(bytes);
    if ('data' in small) this.pictureBytes += small.data.length;
    return small;
  }

  private parts(ask: Ask, reply: Reply, lines: object[]): Omit<PageRow, 'row'> {
    const part = (text: string, ids?: readonly number[]) => this.part(text, ids, lines);
    const own = contextIds(reply);
    const given = reply.prompts ?? promptsOf(ask).map(spoken);
    const found: Omit<PageRow, 'row'> = { prompts: given.map((text, i) => part(text, own[i])) };
    if (reply.prompts === null) found.as_given = true;
    if ('choices' in reply && ask.verb === 'loglikelihood')
      found.choices = reply.choices.map(({ tokens }, i) => part(ask.choices[i]!.continuation, tokens?.output));
    if ('output' in reply && reply.tokens !== undefined) found.output = part(reply.output, reply.tokens.output);
    return found;
  }

  /** A text and its ids, less what is known of both. New beginnings and texts of tokens are put before them. */
  private part(text: string, ids: readonly number[] | undefined, lines: object[]): PagePart {
    if (ids === undefined || ids.length === 0) return this.textPart(text, lines);
    const joined = this.joined(ids, lines);
    const { head, rest, found } = this.idHeads.split(ids);
    if (found !== null) lines.push({ head, ids: packNumbers(found) });
    const packed = { ...(head === null ? {} : { ids_head: head }), ids: packNumbers(rest) };
    if (joined === null || !joined.endsWith(text)) return { ...this.textPart(text, lines), ...packed };
    const from = joined.length - text.length;
    return from === 0 ? packed : { ...packed, from };
  }

  private textPart(text: string, lines: object[]): PagePart {
    const { head, rest, found } = this.textHeads.split(text);
    if (found !== null) lines.push({ head, text: found });
    return { ...(head === null ? {} : { text_head: head }), text: rest };
  }

  /** The texts of tokens behind each other; null where the model does not tell them. */
  private joined(ids: readonly number[], lines: object[]): string | null {
    if (this.tokenTexts === null) return null;
    const others = [...new Set(ids.filter((id) => !this.texts.has(id)))];
    if (others.length > 0) {
      const texts = this.tokenTexts(others);
      for (const [i, id] of others.entries()) this.texts.set(id, texts[i]!);
      lines.push({ texts: Object.fromEntries(others.map((id, i) => [id, texts[i]!])) });
    }
    let joined = '';
    for (const id of ids) joined += this.texts.get(id)!;
    return joined;
  }

  /** `paragraphEnd` of ids, at a token's end. */
  private idsEnd(ids: readonly number[], length: number): number {
    const texts = ids.slice(0, length).map((id) => this.texts.get(id) ?? '');
    let left = paragraphEnd(texts.join(''), Number.POSITIVE_INFINITY);
    let end = 0;
    for (; left > 0 && end < length; end += 1) left -= texts[end]!.length;
    return this.tokenTexts === null ? length : end;
  }

  private append(lines: readonly object[]): void {
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    try {
      writeAll(this.file, bytes, 'page');
    } catch (cause) {
      throw new OutsideError(
        `${this.path} could not be written: ${(cause as Error).message}. Earlier rows are intact.`,
        {
          cause,
        },
      );
    }
  }
}

/** Where a beginning that is shared by chance ends for a reader: behind the last blank line in it, else the last line, else as it is. */
function paragraphEnd(text: string, length: number): number {
  const own = text.slice(0, length);
  for (const mark of ['\n\n', '\n']) {
    const at = own.lastIndexOf(mark);
    if (at >= 0) return at + mark.length;
  }
  return own.length;
}

/** Token ids of each context of a reply: of the one that choices share, or of each choice's. */
function contextIds(reply: Reply): (readonly number[] | undefined)[] {
  if ('choices' in reply)
    return reply.choices.slice(0, reply.prompts?.length === 1 ? 1 : undefined).map(({ tokens }) => tokens?.prompt);
  const { tokens } = reply;
  if (tokens === undefined) return [];
  // A text that is scored as a whole has its tokens as output; a pair is one input, whose tokens are not told apart.
  if ('logprob' in reply) return [tokens.output];
  return 'label_logprobs' in reply && reply.prompts?.length !== 1 ? [] : [tokens.prompt];
}

/** A prompt that nobody here rendered, as a reader may take it. */
function spoken(prompt: Prompt): string {
  if (typeof prompt === 'string') return prompt;
  const said = (content: string | readonly { type: string }[]) =>
    typeof content === 'string'
      ? content
      : content.map((part) => ('text' in part ? String(part.text) : `<${part.type}>`)).join('');
  return prompt.map((one) => ('role' in one ? `${one.role}: ${said(one.content)}\n` : said([one]))).join('');
}
