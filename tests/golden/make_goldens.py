"""Golden prompts from the published definitions, in Python; nothing of NanoEval is run. usage: make_goldens.py SHARED_FOLDER

MMLU, recipe lm_eval: the texts of lm-evaluation-harness itself for the rows where they were recorded, else its template.
"""
import ast, base64, csv, hashlib, json, os, re, sys, zlib

shared, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
index = []


def keep(task, recipe, shots, row, name, context, continuations, texts, tokenization, ending="txt"):
    path = f"{task}/{name}.{ending}"
    with open(os.path.join(here, path), "w", encoding="utf-8", newline="") as f:
        f.write(context)
    index.append({"task": task, "recipe": recipe, "num_fewshot": shots, "row": row, "context": path,
                  "continuations": continuations, "texts": texts, "tokenization": tokenization})


# ---------------------------------------------------------------- MMLU
def mmlu(split, subject):
    with open(f"{shared}/data/mmlu/{split}/{subject}_{split}.csv", newline="", encoding="utf-8") as f:
        return [{"question": r[0], "subject": subject, "choices": r[1:5], "answer": "ABCD".index(r[5])} for r in csv.reader(f)]


rows = [mmlu("test", "abstract_algebra")[0], mmlu("test", "formal_logic")[27]]
dev = mmlu("dev", "abstract_algebra")
for split, some in (("test", rows), ("dev", dev)):
    with open(f"{here}/mmlu/{split}.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in some)

recorded = {}
for shots in (0, 5):
    for line in open(f"{shared}/data/goldens/mmlu_prompts_{shots}shot.jsonl", encoding="utf-8"):
        r = json.loads(line)
        recorded[shots, r["subject"]] = r

LETTERS = [" A", " B", " C", " D"]
listed = lambda q: f"{q['question']}\nA. {q['choices'][0]}\nB. {q['choices'][1]}\nC. {q['choices'][2]}\nD. {q['choices'][3]}\nAnswer:"
stripped = lambda q: {**q, "question": q["question"].strip()}
spaced = lambda q: q["subject"].replace("_", " ")
few = lambda words, answer, n: "".join(words(s) + " " + answer(s) + "\n\n" for s in dev[:n])
letter, text = (lambda s: "ABCD"[s["answer"]]), (lambda s: s["choices"][s["answer"]])

for i, q in enumerate(rows):
    options = [" " + c for c in q["choices"]]
    for n in (0, 5) if i == 0 else (0,):
        name = f"{n}shot.{q['subject']}"
        # lm-evaluation-harness 0.4.13, tasks/mmlu/default
        words = f"The following are multiple choice questions (with answers) about {spaced(q)}.\n\n" + few(lambda s: listed(stripped(s)), letter, n) + listed(stripped(q))
        if i == 0:
            words = recorded[n, q["subject"]]["first_prompt"]
        assert hashlib.sha256(words.encode()).hexdigest()[:12] == recorded[n, q["subject"]]["sha256_12"][(0, 27)[i]]
        keep("mmlu", "lm_eval", n, i, f"lm_eval.{name}", words, LETTERS, list("ABCD"), "joint")
        # lm-evaluation-harness, tasks/mmlu/continuation
        asked = lambda s: f"Question: {s['question'].strip()}\nAnswer:"
        words = f"The following are questions (with answers) about {spaced(q)}.\n\n" + few(asked, text, n) + asked(q)
        keep("mmlu", "lm_eval_continuation", n, i, f"lm_eval_continuation.{name}", words, options, q["choices"], "joint")
        # hendrycks/test evaluate.py: format_subject puts a blank before every word
        words = "The following are multiple choice questions (with answers) about {}.\n\n".format("".join(" " + w for w in q["subject"].split("_"))) + few(listed, letter, n) + listed(q)
        keep("mmlu", "hendrycks", n, i, f"hendrycks.{name}", words, LETTERS, list("ABCD"), "joint")
    # The SmolLM2 cards' lighteval task
    keep("mmlu", "cloze", 0, i, f"cloze.0shot.{q['subject']}", f"The following are questions about {spaced(q)}.\nQuestion: {q['question']}\nAnswer:", options, q["choices"], "joint")
    # spsanps/nanoSmol eval/nanoeval/prompts.py at bb7ea3e4
    words = "You are given a multiple-choice question. Choose the correct answer.\n\nQuestion:\n{}\n\nOptions:\nA. {}\nB. {}\nC. {}\nD. {}\n\nAnswer:".format(q["question"], *q["choices"])
    keep("mmlu", "nanoeval", 0, i, f"nanoeval.0shot.{q['subject']}", words, options, q["choices"], "separate")

# ---------------------------------------------------------------- HellaSwag


def lighteval(t):  # lighteval, tasks_prompt_formatting.py: hellaswag_preprocess
    t = t.replace(" [title]", ". ")
    t = re.sub(r"\[.*?\]", "", t)
    return t.replace("  ", " ")


def lm_eval(t):  # lm-evaluation-harness, tasks/hellaswag/utils.py: preprocess
    return lighteval(t.strip())


def llama_cpp(t):  # klosax/hellaswag_text_data, as benchmarks.md 3.3 tells it
    for word in ("[header]", "[step]", "[substeps]"):
        t = t.replace(word, "")
    t = t.replace(" [title]", ". ").replace("[title] ", "").replace("[title].", "").replace("  ", " ")
    t = t[1:] if t.startswith(" ") else t
    return t[:-1] if t.endswith(" ") else t


for i, line in enumerate(open(f"{here}/hellaswag/validation.jsonl", encoding="utf-8")):
    r = json.loads(line)
    name = ("activitynet", "wikihow", "by_hand")[i]
    joined = r["activity_label"] + ": " + r["ctx_a"] + " " + r["ctx_b"].capitalize()
    e = [lm_eval(x) for x in r["endings"]]
    keep("hellaswag", "lm_eval", 0, i, f"lm_eval.{name}", lm_eval(joined), [" " + x for x in e], e, "joint")
    e = [lighteval(x) for x in r["endings"]]
    keep("hellaswag", "lighteval", 0, i, f"lighteval.{name}", lighteval(joined + " "), e, e, "joint")
    keep("hellaswag", "cloze", 0, i, f"cloze.{name}", lighteval(joined + " "), [" " + x for x in e], e, "joint")
    for recipe in ("nanogpt", "nanoeval"):
        keep("hellaswag", recipe, 0, i, f"{recipe}.{name}", r["ctx"], [" " + x for x in r["endings"]], r["endings"], "separate")
    e = [llama_cpp(x) for x in r["endings"]]
    keep("hellaswag", "llama_cpp", 0, i, f"llama_cpp.{name}", llama_cpp(r["activity_label"]) + ": " + llama_cpp(r["ctx"]), [" " + x for x in e], e, "diverging")

# ---------------------------------------------------------------- MMMU-Pro
def png(number):  # 1 x 1, RGB, a shade of its own for each number
    chunk = lambda kind, data: len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    head = (1).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    line = zlib.compress(bytes([0, 25 * number, 0, 255 - 25 * number]), 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", line) + chunk(b"IEND", b"")


picture = lambda number: {"bytes": base64.b64encode(png(number)).decode(), "path": f"{number}.png"}
# Invented: name, question, options as the column holds them, answer, kinds, subject.
INVENTED = [
    ("two_pictures", "Compare <image 2> with <image 1>. Which is larger?", "['the first', 'the second']", "B", "['Diagrams']", "Geography"),
    ("in_options", "Which one completes <image 3>?", "['<image 2>', '<image 1>', 'Neither', '<image 1> and <image 2>']", "A", "['Icons and Symbols', 'Diagrams']", "Art"),
    ("repeated", "<image 1> shows a melody.\nWhat is marked in <image  1>, and what in <image 2>?", "['See <image 1>', 'Nothing']", "B", "['Sheet Music']", "Music"),
    ("quotes", " <image 1> Let {question} be \"x\"; $\\frac{1}{2}$\n", r"""['It\'s "5" {options}', "the cat's", '$\\frac{1}{2}$', 'a\\nb', '']""", "C", "['Other']", "Math"),
    ("nested", "How much is it? <image 1>", "[['A', 'B', 'Not enough information']]", "B", "['Tables']", "Accounting"),
    ("twelve_options", "<image 1>", str([f"option {n}" for n in range(12)]), "L", "[]", "Computer_Science"),
]
standard = [{"id": f"invented_{name}", "question": question, "options": options, "explanation": "",
             **{f"image_{n}": picture(n) if f"<image {n}>" in question + options else None for n in range(1, 8)},
             "img_type": kinds, "answer": answer, "topic_difficulty": "Easy", "subject": subject}
            for name, question, options, answer, kinds, subject in INVENTED]
vision = [{"id": r["id"], "image": picture(9), "options": r["options"], "answer": r["answer"], "subject": r["subject"]} for r in (standard[0], standard[4])]
for name, some in (("standard", standard), ("vision", vision)):
    with open(f"{here}/mmmu_pro/{name}.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in some)

# The published prompts.yaml: {mode: {standard, vision}}.
PROMPTS = {}
for line in open(f"{shared}/data/mmmu_pro/prompts.yaml", encoding="utf-8"):
    if m := re.fullmatch(r"(\w+):\n", line):
        inner = PROMPTS[m[1]] = {}
    elif m := re.fullmatch(r"  (\w+): (\".*\")\n?", line):
        inner[m[1]] = json.loads(m[2])
ASK = "You will see one or more images and a question with answer options. Select the option that best answers the question.\n\n"  # spsanps/nanoSmol eval/nanoeval/prompts.py at bb7ea3e4


def flat(x):
    return [y for z in x for y in flat(z)] if isinstance(x, (list, tuple)) else [x]


def inline(words):  # a number where the picture is named first
    parts, seen = [], set()
    for piece in re.findall(r"<image\s+\d+>|(?:(?!<image\s+\d+>)[\s\S])+", words):
        m = re.fullmatch(r"<image\s+(\d+)>", piece)
        if m and int(m[1]) not in seen:
            seen.add(int(m[1]))
            parts.append(int(m[1]))
            continue
        text = f"[image {m[1]}]" if m else piece
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        else:
            parts.append(text)
    return parts


def last(words):  # mmmu-pro/infer/infer_transformers.py: replace_images_tokens and the pictures behind
    return [re.sub(r"<image\s+(\d+)>", "[image]", words)] + [int(n) for n in re.findall(r"<image\s+(\d+)>", words)]


for form, some in (("standard", standard), ("vision", vision)):
    for i, r in enumerate(some):
        options = flat(ast.literal_eval(r["options"]))
        names = [chr(65 + n) for n in range(len(options))]
        listed = "\n".join(f"{name}. {option}" for name, option in zip(names, options))
        words = {}
        for mode in ("direct", "cot"):
            if form == "standard":
                words[mode] = inline(f"{r['question']}\n{listed}\n{PROMPTS[mode]['standard']}")
                words[mode + "_images_last"] = last(f"{r['question']}\n{listed}\n{PROMPTS[mode]['standard']}")
            else:  # the column is called image: picture 1
                words[mode] = words[mode + "_images_last"] = [PROMPTS[mode]["vision"], 1]
        words["nanoeval"] = inline(ASK + f"Question:\n{r['question']}\n\nOptions:\n{listed}\n\nAnswer:") if form == "standard" else [ASK, 1, "\n\nAnswer:"]
        for recipe, parts in words.items():
            shown = "[\n" + ",\n".join(json.dumps(part, ensure_ascii=False) for part in parts) + "\n]\n"
            keep("mmmu_pro", recipe, 0, i, f"{recipe}.{form}.{r['id'].removeprefix('invented_')}", shown, [" " + name for name in names], options, "joint", "json")

with open(f"{here}/goldens.json", "w", encoding="utf-8") as f:
    f.write("[\n" + ",\n".join(json.dumps(g, ensure_ascii=False) for g in index) + "\n]\n")
