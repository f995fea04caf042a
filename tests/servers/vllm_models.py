"""Reads requests and answers, one JSON object a line, and says what vLLM's own models make of them (vllm_models.ts).

In: {method, path, body, status, answer} or, of a stream, {..., events} (each an object). Out: {faults, answer} or {faults, events}:
what is wrong with the request or the answer, and the answer as vLLM's response model writes it.
"""

import json
import sys

from pydantic import BaseModel, TypeAdapter, ValidationError

from vllm.entrypoints.openai.chat_completion.protocol import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatCompletionStreamResponse,
)
from vllm.entrypoints.openai.completion.protocol import CompletionRequest, CompletionResponse, CompletionStreamResponse
from vllm.entrypoints.serve.engine.protocol import ErrorResponse, ModelList
from vllm.entrypoints.serve.tokenize.protocol import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
    TokenizerInfoResponse,
)

REQUESTS = {
    "/v1/completions": CompletionRequest,
    "/v1/chat/completions": ChatCompletionRequest,
    "/tokenize": TokenizeRequest,
    "/detokenize": DetokenizeRequest,
}
ANSWERS = {
    "/v1/completions": CompletionResponse,
    "/v1/chat/completions": ChatCompletionResponse,
    "/tokenize": TokenizeResponse,
    "/detokenize": DetokenizeResponse,
    "/v1/models": ModelList,
    "/tokenizer_info": TokenizerInfoResponse,
}
PIECES = {"/v1/completions": CompletionStreamResponse, "/v1/chat/completions": ChatCompletionStreamResponse}

# What a model's generation config may ask for; none of it may reach an answer.
CONFIG = {
    "repetition_penalty": 1.3,
    "presence_penalty": 0.7,
    "frequency_penalty": 0.6,
    "temperature": 0.35,
    "top_k": 3,
    "top_p": 0.45,
    "min_p": 0.15,
    "skip_special_tokens": False,
}
# Requests of fewer tokens are for what stands beside the text.
SHORTEST_ANSWER = 16


def ignored(value: object, where: str) -> list[str]:
    """Fields that no model of vLLM knows: they are taken and have no effect."""
    if isinstance(value, (list, tuple)):
        return [name for one in value for name in ignored(one, where)]
    if not isinstance(value, BaseModel):
        return []
    found = [f"{where}{name}" for name in value.model_extra or {}]
    for name in type(value).model_fields:
        found += ignored(value.__dict__.get(name), f"{where}{name}.")
    return found


def read(kind: object, data: object, what: str) -> tuple[object, list[str]]:
    """The data as an object of this kind, and what is wrong with it."""
    try:
        made = TypeAdapter(kind).validate_python(data)
    except (ValidationError, ValueError) as error:
        return None, [f"{what} is refused: {error}"]
    return made, [f"{what}: {name} is ignored" for name in ignored(made, "")]


def taken_from_config(request: object, body: dict) -> list[str]:
    """Settings of an answer that are the generation config's."""
    if body.get("max_tokens", 0) < SHORTEST_ANSWER:
        return []
    settings = request.to_sampling_params(body["max_tokens"], dict(CONFIG))
    return [f"{name} is left to the generation config" for name, value in CONFIG.items() if getattr(settings, name) == value]


def looked_at(path: str, body: object, status: int, answer: object, events: list | None) -> dict:
    faults: list[str] = []
    if path in REQUESTS and body is not None and status == 200:
        request, faults = read(REQUESTS[path], body, "the request")
        if request is not None and hasattr(request, "to_sampling_params"):
            faults += taken_from_config(request, body)
    if events is not None:
        written = []
        for event in events:
            piece, wrong = read(PIECES[path], event, "a piece of the stream")
            faults += wrong
            written.append(None if piece is None else json.loads(piece.model_dump_json(exclude_unset=True)))
        return {"faults": faults, "events": written}
    kind = ErrorResponse if status >= 400 else ANSWERS.get(path)
    if kind is None:
        return {"faults": faults, "answer": answer}
    made, wrong = read(kind, answer, "the answer")
    # A tokenizer's config has whatever it has.
    wrong = [] if kind is TokenizerInfoResponse and made is not None else wrong
    return {"faults": faults + wrong, "answer": None if made is None else json.loads(made.model_dump_json())}


for line in sys.stdin:
    asked = json.loads(line)
    found = looked_at(asked["path"], asked["body"], asked["status"], asked.get("answer"), asked.get("events"))
    print(json.dumps(found), flush=True)
