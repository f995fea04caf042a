"""Small checkpoints with random weights in the shapes of public architectures, and what PyTorch says of them.

    python export_checkpoints.py FOLDER [FAMILY ...]        (torch 2.15.0, transformers 5.24.0)

Writes FOLDER/_torch/FAMILY/: config.json, model.safetensors, tokenizer files (the byte-level tokenizer of
tests/fixtures/model, 320 tokens), and ref.jsonl: for each of 12 token sequences {"ids", "logprobs"}, the logarithm of the
probability of each token after the first given those before it. One full forward pass without a cache, eager attention,
float32 weights, arithmetic in float64 where the model's code lets it (its own casts to float32 stay).

Nothing is trained. Weights are drawn so that attention, windows, soft caps and positions matter: scores before the softmax
have a standard deviation of about 2, logits of about 3. Windows are 16 tokens, the long part of LongRoPE begins at 32.
"""
import json, random, shutil, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOKENIZER = HERE.parent / 'fixtures' / 'model' / 'tokenizer_byte_level.json'
VOCAB, LIMIT, WINDOW = 320, 256, 16
LENGTHS = [3, 5, 9, 14, 16, 17, 24, 31, 40, 57, 76, 90]

BASE = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=LIMIT, rms_norm_eps=1e-5, bos_token_id=1,
            eos_token_id=2, pad_token_id=0, tie_word_embeddings=False, rope_theta=10000.0)
FACTORS = dict(short_factor=[1.0 + 0.05 * i for i in range(8)], long_factor=[1.0 + 0.6 * i for i in range(8)])
GPT = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=2)


def llama3_rope(factor):
    return dict(rope_type='llama3', factor=factor, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)


# name -> (config class of transformers, its arguments). `rope_scaling` and `rope_theta` are what hub checkpoints have.
FAMILIES = {
    'llama': ('LlamaConfig', BASE),
    'llama3': ('LlamaConfig', dict(BASE, rope_scaling=llama3_rope(8.0), rope_theta=500000.0)),
    'mistral': ('MistralConfig', dict(BASE, sliding_window=WINDOW)),
    'mistral_plain': ('MistralConfig', dict(BASE, sliding_window=None)),
    'qwen2': ('Qwen2Config', {k: v for k, v in BASE.items() if k != 'head_dim'}),
    'qwen3': ('Qwen3Config', BASE),
    'gemma': ('GemmaConfig', dict(BASE, tie_word_embeddings=True)),
    'gemma2': ('Gemma2Config', dict(BASE, num_hidden_layers=4, tie_word_embeddings=True, sliding_window=WINDOW,
                                    query_pre_attn_scalar=16, attn_logit_softcapping=4.0, final_logit_softcapping=6.0)),
    'gemma3': ('Gemma3TextConfig', dict(BASE, num_hidden_layers=4, tie_word_embeddings=True, sliding_window=WINDOW,
                                        query_pre_attn_scalar=16, rope_theta=1000000.0, rope_local_base_freq=10000.0,
                                        layer_types=['sliding_attention', 'sliding_attention', 'full_attention', 'sliding_attention'])),
    'phi3': ('Phi3Config', dict({k: v for k, v in BASE.items() if k != 'head_dim'}, sliding_window=WINDOW,
                                original_max_position_embeddings=LIMIT)),
    'phi3_longrope': ('Phi3Config', dict({k: v for k, v in BASE.items() if k != 'head_dim'}, sliding_window=None,
                                         original_max_position_embeddings=32, rope_scaling=dict(type='longrope', **FACTORS))),
    'olmo2': ('Olmo2Config', {k: v for k, v in BASE.items() if k != 'head_dim'}),
    'granite': ('GraniteConfig', dict({k: v for k, v in BASE.items() if k != 'head_dim'}, embedding_multiplier=2.0,
                                      attention_multiplier=0.2, residual_multiplier=0.5, logits_scaling=1.5)),
    'smollm3': ('SmolLM3Config', dict({k: v for k, v in BASE.items() if k != 'head_dim'}, no_rope_layers=[1, 0, 1])),
    'phi': ('PhiConfig', dict({k: v for k, v in BASE.items() if k not in ('head_dim', 'rms_norm_eps')}, partial_rotary_factor=0.5)),
    'lfm2': ('Lfm2Config', dict({k: v for k, v in BASE.items() if k not in ('head_dim', 'rms_norm_eps')}, num_hidden_layers=4,
                                norm_eps=1e-5, conv_L_cache=3, block_auto_adjust_ff_dim=False,
                                layer_types=['conv', 'full_attention', 'conv', 'full_attention'])),
    'bloom': ('BloomConfig', dict(GPT, hidden_size=64, n_layer=3, n_head=4)),
    'gpt2': ('GPT2Config', dict(GPT, n_embd=64, n_layer=3, n_head=4, n_positions=LIMIT)),
    'gpt_neo': ('GPTNeoConfig', dict(GPT, hidden_size=64, num_layers=3, num_heads=4, max_position_embeddings=LIMIT, window_size=WINDOW,
                                     intermediate_size=96, attention_types=[[['local', 'global', 'local'], 1]])),
    'gpt_neox': ('GPTNeoXConfig', dict(GPT, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
                                       max_position_embeddings=LIMIT, rotary_pct=0.5)),
    'gptj': ('GPTJConfig', dict(GPT, n_embd=64, n_layer=3, n_head=4, n_positions=LIMIT, rotary_dim=8)),
    'opt': ('OPTConfig', dict(GPT, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, ffn_dim=96, word_embed_proj_dim=64,
                              max_position_embeddings=LIMIT, pad_token_id=0)),
    'falcon': ('FalconConfig', dict(GPT, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_kv_heads=2, bias=False,
                                    new_decoder_architecture=True, alibi=False, max_position_embeddings=LIMIT)),
    'falcon_7b': ('FalconConfig', dict(GPT, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, bias=False, multi_query=True,
                                       new_decoder_architecture=False, parallel_attn=True, alibi=False, max_position_embeddings=LIMIT)),
}


def sequences():
    """12 lists of token ids, the same every time; every third has few distinct tokens."""
    draw = random.Random(12)
    return [[draw.randrange(5, 15 if i % 3 == 2 else VOCAB) for _ in range(n)] for i, n in enumerate(LENGTHS)]


def config_of(family):
    import transformers
    name, arguments = FAMILIES[family]
    config = getattr(transformers, name)(**json.loads(json.dumps(arguments)))
    config._attn_implementation = 'eager'
    return config


def scatter(model):
    """Draws the weights anew (module text above). Norms stay near their start, biases get small values."""
    import torch
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() < 2:
                weight.add_(torch.randn_like(weight) * 0.1)
                continue
            fan_in = weight[0].numel()
            if 'embed' in name or 'wte' in name or 'wpe' in name:
                weight.copy_(torch.randn_like(weight) * 0.35)
            else:
                gain = 1.4 if any(part in name for part in ('q_proj', 'k_proj', 'query_key', 'qkv', 'c_attn')) else 1.0
                gain = 3.0 if name.startswith(('lm_head', 'embed_out')) else gain
                transposed = type(dict(model.named_modules())[name.rpartition('.')[0]]).__name__ == 'Conv1D'
                weight.copy_(torch.randn_like(weight) * gain / (weight.shape[0] if transposed else fan_in) ** 0.5)
    model.tie_weights()
    return model.eval()


def logprobs(model, ids):
    """Log-probabilities (nats, float64) of ids[1:], each given the tokens before it."""
    import torch
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    return torch.log_softmax(logits, -1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def write_reference(model, path):
    """ref.jsonl of a model; returns the largest difference between its float32 and its float64 run, in nats."""
    import torch
    ids = sequences()
    single = [logprobs(model.float(), one) for one in ids]
    try:
        double = [logprobs(model.double(), one) for one in ids]
    except RuntimeError as error:                                    # some code mixes its own float32 tensors in
        print(f'  no float64 run: {str(error)[:80]}', flush=True)
        double = single
    model.float()
    with open(path, 'w') as out:
        for one, scores in zip(ids, double):
            out.write(json.dumps(dict(ids=one, logprobs=scores)) + '\n')
    return max(abs(a - b) for s, d in zip(single, double) for a, b in zip(s, d))


def write_tokenizer(folder):
    shutil.copy(TOKENIZER, folder / 'tokenizer.json')
    config = dict(tokenizer_class='PreTrainedTokenizerFast', bos_token='<s>', eos_token='</s>', model_max_length=LIMIT)
    (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=1))


def write_checkpoint(family, folder):
    from transformers import AutoModelForCausalLM
    model = scatter(AutoModelForCausalLM.from_config(config_of(family)).float())
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    config = json.loads((folder / 'config.json').read_text())
    arguments = FAMILIES[family][1]
    for key in ('rope_theta', 'rope_scaling', 'rope_local_base_freq', 'rotary_pct', 'partial_rotary_factor'):
        if key in arguments:
            config[key] = arguments[key]                             # as hub checkpoints have it, beside rope_parameters
    (folder / 'config.json').write_text(json.dumps(config, indent=1))
    write_tokenizer(folder)
    apart = write_reference(model, folder / 'ref.jsonl')
    return dict(parameters=sum(p.numel() for p in model.parameters()), float32_to_float64=apart)


def main():
    import torch
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    for family in sys.argv[2:] or FAMILIES:
        try:
            print(family, write_checkpoint(family, root / '_torch' / family), flush=True)
        except Exception as error:
            print(f'{family}: {type(error).__name__}: {str(error)[:300]}', flush=True)


if __name__ == '__main__':
    main()
