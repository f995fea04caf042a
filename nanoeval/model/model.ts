/** A checkpoint ready to answer: files -> tokenizer, chat template, graph, engine. */
import type { EngineSettings, ModelSettings } from '../config.ts';
import { sha256 } from '../hash.ts';
import { type Model, type Repo, UserError } from '../types.ts';
import { openChatTemplate } from './chat.ts';
import { openCheckpoint } from './checkpoint.ts';
import { naiveEngine } from './naive.ts';
import { openDecoder } from './onnx.ts';
import { openTokenizer, type SpecialTokens } from './tokenizer.ts';

/**
 * Loads the checkpoint of `settings` from `repo`. Throws UserError for anything about the checkpoint or the settings
 * that a user can mend, OutsideError when onnxruntime or the disk gives up.
 */
export async function openModel(repo: Repo, settings: ModelSettings, engine: EngineSettings): Promise<Model> {
  const checkpoint = await openCheckpoint(repo, settings);
  const tokenizer = openTokenizer(
    checkpoint.tokenizerJson,
    checkpoint.tokenizerConfig,
    specialTexts(checkpoint.specialTokens),
  );
  const chat = openChatTemplate(checkpoint.chat, checkpoint.tokenizerConfig, tokenizer.special);
  const decoder = await openDecoder(checkpoint, settings, engine);
  const ends = tokenizer.eosToken === undefined ? checkpoint.eosTokens : [...checkpoint.eosTokens, tokenizer.eosToken];
  const naive = naiveEngine(decoder, tokenizer, checkpoint.maxLength, ends);

  return {
    identity: {
      model_id: repo.id,
      revision: repo.revision,
      commit: repo.commit,
      backend: settings.backend,
      dtype: settings.onnx_file ?? settings.dtype,
      device: settings.device,
      max_length: checkpoint.maxLength,
      is_vlm: checkpoint.isVlm,
      files: checkpoint.files,
      config_sha256: checkpoint.configSha256,
      tokenizer_sha256: checkpoint.tokenizerSha256,
      chat_template_sha256: chat === null ? null : sha256(chat.text),
    },
    engine: 'naive',
    loglikelihood: (requests) => inOrder(requests, naive.loglikelihood),
    loglikelihoodRolling: (texts) => inOrder(texts, naive.loglikelihoodRolling),
    generateUntil: (requests) => inOrder(requests, naive.generate),
    countTokens: (text) => tokenizer.encode(text).length,
    renderChat(messages) {
      if (chat === null) {
        throw new UserError(`true, but ${repo.id} has no chat template.`, { key: 'model.chat_template' });
      }
      return chat.render(messages);
    },
    close: () => decoder.close(),
  };
}

async function inOrder<Q, A>(requests: readonly Q[], answer: (request: Q) => Promise<A>): Promise<A[]> {
  const answers: A[] = [];
  for (const request of requests) answers.push(await answer(request));
  return answers;
}

function specialTexts(map: Record<string, unknown>): SpecialTokens {
  const texts = Object.entries(map).map(([name, value]) => [
    name,
    typeof value === 'object' && value !== null && 'content' in value ? value.content : value,
  ]);
  return Object.fromEntries(texts.filter(([, text]) => typeof text === 'string')) as SpecialTokens;
}
