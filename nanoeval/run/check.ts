/** Settings that do not go together, which no schema sees: among keys, and between the config and the model. */
import { isServer } from '../config/backends.ts';
import type { TaskConfig } from '../config/keys.ts';
import { show } from '../config/messages.ts';
import { OF_TEXTS, type Recipe, type ResolvedRecipe, resolveRecipe } from '../config/recipe.ts';
import { serverAddresses } from '../model/server/address.ts';
import { checkStarted } from '../model/server/command.ts';
import type { Abilities, ModelIdentity } from '../questions.ts';
import { artefactNames } from '../report/summary.ts';
import { UserError } from '../types.ts';
import { shardOf } from './selection.ts';

/** Keys that do not go together. Throws UserError; returns the recipe's settings. */
export function checkConfig(
  task: { name: string; recipes: Record<string, Recipe>; shots?: { split: string }; files?: object },
  config: TaskConfig,
): ResolvedRecipe {
  const { subset_size, sample } = config.dataset;
  if (subset_size !== undefined && sample !== undefined) {
    throw new UserError(`${sample}, beside subset_size ${subset_size}. Keep one: the first n rows, or n drawn ones.`, {
      key: 'dataset.sample',
    });
  }
  const names = artefactNames(config.report, task.files);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new UserError(`two files of the run would both be called ${show(twice)}. Name them apart.`, {
      key: 'report',
    });
  }
  const recipe = resolveRecipe(task, config);
  checkGeneration(config, recipe);
  checkServer(config);
  const { require } = config.run;
  if (require !== undefined && recipe.unit === 'share' && (require < 0 || require > 1))
    throw new UserError(`${require} is not a share from 0 to 1, which ${recipe.primary} is.`, { key: 'run.require' });
  if (config.run.shard !== undefined) {
    const { number, count } = shardOf(config.run.shard);
    if (number > count) throw new UserError(`"${config.run.shard}": there are ${count} shards.`, { key: 'run.shard' });
  }
  checkShots(task, config, recipe);
  return recipe;
}

function checkShots(
  { name, shots }: { name: string; shots?: { split: string } },
  { dataset }: TaskConfig,
  { name: recipeName, numFewshot, recipe: { fixed_shots } }: ResolvedRecipe,
): void {
  if (numFewshot === 0) return;
  if (fixed_shots !== undefined) {
    if (numFewshot <= fixed_shots.length) return;
    const message = `${numFewshot}, but the recipe "${recipeName}" has ${fixed_shots.length} worked examples of its own.`;
    throw new UserError(`${message} Lower it.`, { key: 'scoring.num_fewshot' });
  }
  if (shots === undefined) {
    throw new UserError(`${numFewshot}, but ${name} has no worked examples. Leave it out.`, {
      key: 'scoring.num_fewshot',
    });
  }
  if (dataset.split === shots.split) {
    throw new UserError(
      `"${shots.split}" is where the ${numFewshot} shots come from: rows would see their own answers. Set scoring.num_fewshot: 0.`,
      { key: 'dataset.split' },
    );
  }
}

/** What a server needs, and what is not had from one. */
function checkServer({ model, report }: TaskConfig): void {
  if (!isServer(model.backend)) return;
  const { backend, base_url, server } = model;
  if (base_url !== undefined && server !== undefined)
    throw new UserError(
      `${show(base_url)}, beside model.server, which starts a server and knows its address. Keep one of them.`,
      { key: 'model.base_url' },
    );
  if (server !== undefined) checkStarted(model, server);
  else if (base_url !== undefined) serverAddresses(base_url);
  else
    throw new UserError(
      `missing. ${backend} asks a server: give its address, such as http://127.0.0.1:8000, or start one by model.server.`,
      { key: 'model.base_url' },
    );
  if (report.save_tokens && !givesTokenIds(backend))
    throw new UserError(`true, but ${backend} gives no token ids. Leave it out, or use vllm, llama_cpp or onnx.`, {
      key: 'report.save_tokens',
    });
}

/** Whether the token ids of prompts and answers can be had. */
export function givesTokenIds(backend: TaskConfig['model']['backend']): boolean {
  return backend !== 'openai';
}

/** Settings of generated answers that would have no effect are an error. */
function checkGeneration({ scoring }: TaskConfig, { strategy, verb }: ResolvedRecipe): void {
  const { temperature, top_p, samples_per_prompt, seeds, max_new_tokens } = scoring;
  const generates = verb === 'generate_until';
  if (max_new_tokens !== undefined && !generates) {
    throw new UserError(`${max_new_tokens}, but ${strategy} generates nothing. Leave it out.`, {
      key: 'scoring.max_new_tokens',
    });
  }
  if (temperature > 0 && !generates)
    throw new UserError(`${temperature}, but ${strategy} generates nothing. Leave it out.`, {
      key: 'scoring.temperature',
    });
  if (temperature === 0 && top_p < 1)
    throw new UserError(`${top_p}, but nothing is drawn at temperature 0. Leave it out, or set scoring.temperature.`, {
      key: 'scoring.top_p',
    });
  if (temperature === 0 && samples_per_prompt > 1)
    throw new UserError(
      `${samples_per_prompt}, but at temperature 0 every answer is the same. Set scoring.temperature.`,
      { key: 'scoring.samples_per_prompt' },
    );
  if (seeds !== undefined && new Set(seeds).size < seeds.length)
    throw new UserError('a seed stands there twice. Its rows would be the same.', { key: 'scoring.seeds' });
}

/** Whether prompts go through the chat template: as asked, else for models that take pictures. */
export function usesChat(config: TaskConfig, identity: ModelIdentity): boolean {
  return config.model.chat_template ?? identity.is_vlm;
}

/** That the model can do what the run asks of it; told before its weights are loaded. Throws UserError. */
export function checkModel(
  task: { name: string; images?: boolean },
  config: TaskConfig,
  recipe: ResolvedRecipe,
  { identity, can }: { identity: ModelIdentity; can: Abilities },
): void {
  const { label, max_length } = identity;
  if (recipe.verb === 'generate_until' && max_length !== null && recipe.maxNewTokens >= max_length) {
    const message = `${recipe.maxNewTokens} leaves no room for a prompt in a window of ${max_length} tokens.`;
    throw new UserError(message, { key: 'scoring.max_new_tokens' });
  }
  if (!can.verbs.includes(recipe.verb)) {
    const asks = `${task.name} asks for ${recipe.verb}`;
    const why = can.cannot?.[recipe.verb];
    const others = `${label} (${identity.backend}) can do: ${can.verbs.join(', ')}.`;
    const message = why === undefined ? `${asks}, and ${others}` : `${asks}: ${why}`;
    throw new UserError(message, { key: 'scoring.strategy' });
  }
  if (task.images === true && !can.images) {
    throw new UserError(`${label} takes no pictures, and ${task.name} shows some. Name a vision-language checkpoint.`, {
      key: 'model.model_id',
    });
  }
  const withoutIds = can.cannot?.token_ids;
  if (config.report.save_tokens && recipe.verb === 'generate_until' && withoutIds !== undefined)
    throw new UserError(`true, but ${withoutIds} Leave it out.`, { key: 'report.save_tokens' });
  const rendersChat = usesChat(config, identity) && !OF_TEXTS.has(recipe.verb);
  const { enable_thinking, chat_template } = config.model;
  if (enable_thinking !== undefined && rendersChat && can.chat && can.chat_fault === undefined && !can.thinking_switch)
    throw new UserError(`${enable_thinking}, but the chat template of ${label} does not look at it. Leave it out.`, {
      key: 'model.enable_thinking',
    });
  // A task of a suite may go without the template that others are told this for.
  if (enable_thinking !== undefined && !rendersChat && chat_template === undefined && !OF_TEXTS.has(recipe.verb))
    throw new UserError(`${enable_thinking}, but prompts are plain texts here. Set model.chat_template: true.`, {
      key: 'model.enable_thinking',
    });
  const asked = rendersChat ? (recipe.verb === 'loglikelihood' ? 'chat_loglikelihood' : null) : 'plain';
  const why = asked === null ? undefined : can.cannot?.[asked];
  if (why !== undefined) throw new UserError(`${label}: ${why}`, { key: 'model.chat_template' });
  if (rendersChat && can.chat_fault !== undefined)
    throw new UserError(`${can.chat_fault}. Set model.chat_template: false.`, { key: 'model.chat_template' });
  // A text is scored as it stands, whatever the template.
  if (rendersChat && !can.chat)
    throw new UserError(
      config.model.chat_template === true
        ? `true, but ${label} has no chat template.`
        : `${label} has no chat template, and a vision-language model uses one by default. Set it to false.`,
      { key: 'model.chat_template' },
    );
}
