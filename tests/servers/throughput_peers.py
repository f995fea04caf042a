"""Asks a server the prompts of a file by lm-eval's or inspect_ai's own client and says how long that took (throughput.ts).

Arguments: lm_eval or inspect_ai; text or chat; the server's address; a JSON file with a list of prompts; the most tokens of an
answer; requests at a time.
"""

import asyncio
import json
import os
import sys
import time

client, form, url, path, most, at_once = sys.argv[1:]
prompts = json.load(open(path))
most, at_once = int(most), int(at_once)
os.environ["OPENAI_API_KEY"] = "none"


def wait_for_start() -> None:
    """All clients begin at the same time."""
    print("ready", flush=True)
    sys.stdin.readline()


def by_lm_eval() -> float:
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    generation = {"until": [], "max_gen_toks": most, "do_sample": False, "temperature": 0}
    common = {"model": "model", "num_concurrent": at_once, "max_gen_toks": most, "tokenizer_backend": None, "max_retries": 1}
    if form == "text":
        model = LocalCompletionsAPI(base_url=f"{url}/v1/completions", tokenized_requests=False, **common)
        asked = prompts
    else:
        model = LocalChatCompletion(base_url=f"{url}/v1/chat/completions", **common)
        asked = [model.apply_chat_template([{"role": "user", "content": prompt}]) for prompt in prompts]
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, dict(generation)), idx=i)
        for i, prompt in enumerate(asked)
    ]
    wait_for_start()
    began = time.perf_counter()
    answers = model.generate_until(requests)
    seconds = time.perf_counter() - began
    assert len(answers) == len(prompts) and all(isinstance(answer, str) for answer in answers)
    return seconds


def by_inspect() -> float:
    from inspect_ai.model import GenerateConfig, get_model

    model = get_model(
        "openai-api/local/model",
        base_url=f"{url}/v1",
        api_key="none",
        config=GenerateConfig(max_tokens=most, temperature=0, seed=0, max_connections=at_once),
    )

    wait_for_start()

    async def ask() -> float:
        began = time.perf_counter()
        answers = await asyncio.gather(*(model.generate(prompt) for prompt in prompts))
        seconds = time.perf_counter() - began
        assert len(answers) == len(prompts) and all(answer.choices for answer in answers)
        return seconds

    return asyncio.run(ask())


print(f"seconds {by_lm_eval() if client == 'lm_eval' else by_inspect()}")
