#!/usr/bin/env python3
"""Makes the embedded demo of NanoEval: a tiny language model that sees, its tokenizer, and toy rows in the schemas of MMLU, HellaSwag and MMMU-Pro.

    python make_demo.py                        text, pictures -> tokenizer -> training -> ONNX -> rows -> README -> report
    python make_demo.py --report               the report alone, on the files that are there
    python make_demo.py --safetensors FOLDER   writes the language model alone to FOLDER, as a LlamaForCausalLM of transformers (from the ONNX files)
    options: --out DIR (default: this folder), --rows-only (write the rows and stop), --lls FILE (per-row log-likelihoods),
             --steps N (train N steps of text, print a hash of the weights, stop: two runs on one machine must agree)

The demo exists to show the machinery of the runner (loading, prompts, scoring, reports) without a download. It is NO
benchmark: the rows are invented, the model has read text about the same invented world and seen pictures drawn by the same code, and its
scores say nothing about any other model.

What is made, all from fixed seeds:
  checkpoint/   the hub's layout of SmolVLM (model_type idefics3): config.json, generation_config.json, preprocessor_config.json,
                processor_config.json, chat_template.json, tokenizer.json, tokenizer_config.json, special_tokens_map.json, and in onnx/,
                fp32, vision_encoder.onnx (SigLIP, pixel shuffle, connector), embed_tokens.onnx, decoder_model_merged.onnx (Llama-shaped:
                RMSNorm, rotary, SwiGLU, grouped KV heads, tied embedding; the decomposed form of an optimum export with past_key_values)
  data/         mmlu/{dev,test}.jsonl, hellaswag/validation.jsonl and mmmu_pro/test.jsonl, drawn by other seeds than what is trained on

The training has three parts. First the language model reads text, as ever (its chats still are ChatML, and the vocabulary of 1000 comes
from that text; the tokens of pictures and of the chat template's turns are added behind). Then the eye alone learns to call what it sees by
the language model's own words. Then both learn together, in two rounds: questions about pictures in the chat template's form beside text of all kinds.

How so small a model learns to answer by letter within minutes: besides the language model's loss, the training (and nothing else) knows
where each question ends and which of its choices is right, and five helping losses (the "crutches" in `learner`) teach the steps to the
letter one by one, and a sixth (`see`) tells the eye what each token of a picture shows. Their few weights are not in the checkpoint.

How the scores stay away from 100 %: a share of the world's facts, opposites and sums is withheld from the training text
altogether, and so are some activities and how-to topics. The test rows ask about withheld and told things alike. No question of
the test rows is in the training text with the same four choices, in any order; nor is a HellaSwag row with its wrong endings
(the model only ever sees right continuations), though a told activity's right continuation can be there word for word. The pictures know no
withheld things: the rows ask about other drawings (no picture of the test rows is trained on) of the same shapes and colours.

Requirements: Python 3.10 or later;
    pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 tokenizers==0.23.3 jax==0.10.2 jaxlib==0.10.2 optax==0.2.8 pillow==13.0.0
(--report and --safetensors need no jax and no optax.)
Time: about 15 minutes on two CPU cores, 35 where others use them too; memory below 3 GB. Floating point differs from machine to machine, so another
machine gives slightly other weights and scores that differ by a few rows.

Licence: every text here is invented by this script; script, rows and checkpoint are under Apache-2.0.
"""
from functools import partial
from types import SimpleNamespace
import argparse, ast, base64, hashlib, io, json, math, os, random, re, shutil, struct, time
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT_SEED, ROW_SEED, WORLD_SEED, INIT_SEED, SHUFFLE_SEED, PICTURE_SEED, PICTURE_ROW_SEED = 11, 22, 33, 44, 55, 66, 77

WORDS, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN = 1000, 128, 4, 4, 2, 32, 256
THETA, EPS, WINDOW = 10000.0, 1e-5, 1024
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
SYSTEM = 'You are the demo model of NanoEval.'
ADDED = ['<global-img>', *(f'<row_{r}_col_{c}>' for r in (1, 2) for c in (1, 2)), '<fake_token_around_image>', '<image>', '<end_of_utterance>']
VOCAB = WORDS + len(ADDED)
GLOBAL, FAKE, IMAGE, TURN_END = (WORDS + ADDED.index(t) for t in ('<global-img>', '<fake_token_around_image>', '<image>', '<end_of_utterance>'))
CHAT_TEMPLATE = (                                              # SmolVLM's; a message's content is a list of parts
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}{{':'}}"
    "{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")

# The eye: tiles of 64 x 64 pixels in 8 x 8 patches, four of which make one image token; a picture is 128 pixels long.
TILE, LONGEST, PATCH, SHUFFLE = 64, 128, 8, 2
SIDE = TILE // PATCH
TOKENS = (SIDE // SHUFFLE) ** 2
V_HIDDEN, V_LAYERS, V_HEADS, V_FFN, V_EPS = 64, 3, 4, 128, 1e-6
RESCALE = 0.00392156862745098

# ------------------------------------------------------------------------------------------------ the invented world
SUBJECTS = ['elementary_mathematics', 'high_school_geography', 'miscellaneous', 'philosophy']
TOWNS = 'Arlen Brell Corvo Dunmar Eskil Farrow Gand Hulm Ister Jarn Kelby Lorne Mavik Nolda Ostra Pell'.split()
THINKERS = 'Bessa Calon Dorit Elvan Fenna Goran Hesta Ilmar Jova Luda Merrit Nessa Orban Rovan Sibel Tamas'.split()
CREATURES = 'blim drosk fennet gorble hazzle jubb kitter lomp moffin nubble plink quag'.split()
NAMES = {'Mia': 'she', 'Tom': 'he', 'Anna': 'she', 'Ben': 'he', 'Lily': 'she', 'Sam': 'he', 'Rosa': 'she', 'Max': 'he'}

# kind: (subject, entities, values, question forms, statement forms)
FACTS = {
    'river': ('high_school_geography', TOWNS, 'Ilva Morna Sable Tarn Ulen Wend Asper Denn'.split(),
              ['Which river flows through {e}?', 'On which river does {e} lie?'],
              ['The river {v} flows through {e}.', '{e} lies on the river {v}.']),
    'crop': ('high_school_geography', TOWNS, 'barley plums rye beans hops flax olives pears'.split(),
             ['What do the farmers of {e} grow?', 'Which crop is grown around {e}?'],
             ['The farmers of {e} grow {v}.', 'The fields around {e} are full of {v}.']),
    'sight': ('high_school_geography', TOWNS, ['a lighthouse', 'a stone bridge', 'an old mill', 'a clock tower', 'a glass hall', 'a round temple', 'a red castle', 'a fish market'],
              ['What is {e} famous for?', 'What do visitors come to see in {e}?'],
              ['{e} is famous for {v}.', 'Visitors come to {e} to see {v}.']),
    'part': ('high_school_geography', TOWNS, ['the north', 'the south', 'the east', 'the west', 'the hills', 'the marsh'],
             ['In which part of the island does {e} lie?', 'Where on the island is {e}?'],
             ['{e} lies in {v} of the island.', 'A traveller finds {e} in {v}.']),
    'good': ('philosophy', THINKERS, 'kindness silence courage truth order friendship patience beauty'.split(),
             ['What did {e} hold to be the highest good?', 'Which virtue did {e} praise most?'],
             ['{e} held that the highest good is {v}.', 'The virtue that {e} praised most was {v}.']),
    'school': ('philosophy', THINKERS, ['the Garden School', 'the Bridge School', 'the Lamp School', 'the River School', 'the Mirror School', 'the Winter School'],
               ['To which school did {e} belong?', 'Which school of thought did {e} follow?'],
               ['{e} belonged to {v}.', '{e} was a thinker of {v}.']),
    'place': ('philosophy', THINKERS, ['under an oak tree', 'beside a well', 'in a kitchen', 'on a boat', 'in a library', 'at the town gate'],
              ['Where did {e} teach?', 'Where did the pupils of {e} meet?'],
              ['{e} taught {v}.', 'The pupils of {e} met {v}.']),
    'colour': ('miscellaneous', CREATURES, 'red blue green yellow black white grey brown'.split(),
               ['What colour is a {e}?', 'Which colour does a {e} have?'],
               ['A {e} is {v}.', 'The colour of a {e} is {v}.']),
    'food': ('miscellaneous', CREATURES, 'grass fish nuts berries leaves seeds honey worms'.split(),
             ['What does a {e} eat?', 'What is the favourite food of a {e}?'],
             ['A {e} eats {v}.', 'The favourite food of a {e} is {v}.']),
    'home': ('miscellaneous', CREATURES, ['in a hole', 'in a tree', 'in a pond', 'in a cave', 'under a bridge', 'on a roof'],
             ['Where does a {e} live?', 'Where can you find a {e}?'],
             ['A {e} lives {v}.', 'You can find a {e} {v}.']),
}
OPPOSITES = [x.split('/') for x in (
    'hot/cold big/small day/night up/down wet/dry hard/soft full/empty old/young fast/slow light/dark happy/sad open/shut '
    'long/short rich/poor loud/quiet early/late strong/weak clean/dirty sweet/sour near/far deep/shallow thick/thin high/low true/false').split()]
GROUPS = {
    'an animal': 'dog cat horse cow sheep fox bear wolf'.split(),
    'a fruit': 'apple pear plum cherry lemon grape fig melon'.split(),
    'a tool': 'hammer saw spade rake axe drill file chisel'.split(),
    'a colour': 'red blue green yellow black white grey brown'.split(),
    'a part of the body': 'hand foot nose ear knee arm leg eye'.split(),
    'furniture': 'table chair bed shelf desk bench stool sofa'.split(),
}
THINGS = 'apples coins books eggs stones cards shells pears'.split()
KINDS = 'birds fish poets sailors bakers trees stars cats kings boats'.split()
TRAITS = 'brave tall old kind quick quiet wise small green happy'.split()

# HellaSwag, the ActivityNet half: label, place, steps (she/he ...); {x} is one of the objects
ACTIVITIES = [
    ('Baking bread', 'in a kitchen', ['pours {x} into a bowl', 'mixes the {x} with water', 'kneads the dough on the table', 'puts the dough into the oven', 'takes the warm bread out of the oven'], ['flour', 'rye flour', 'corn flour']),
    ('Washing a car', 'in a driveway', ['fills a {x} with soap and water', 'wipes the car with a sponge', 'sprays the car with a hose', 'dries the car with a towel', 'drives the shiny car away'], ['bucket', 'tub', 'can']),
    ('Playing tennis', 'on a court', ['picks up a {x} and a ball', 'throws the ball into the air', 'hits the ball over the net', 'runs to the net and wins the point', 'shakes hands with the other player'], ['racket', 'wooden racket', 'new racket']),
    ('Planting a tree', 'in a garden', ['digs a hole with a {x}', 'sets the young tree into the hole', 'fills the hole with soil', 'waters the tree with a can', 'ties the tree to a stick'], ['spade', 'shovel', 'fork']),
    ('Painting a fence', 'in front of a house', ['opens a tin of {x} paint', 'dips the brush into the paint', 'brushes the paint onto the fence', 'waits until the paint is dry', 'adds a second coat of paint'], ['white', 'green', 'blue']),
    ('Fishing', 'beside a lake', ['puts a {x} on the hook', 'throws the line into the water', 'waits for a fish to bite', 'pulls a big fish out of the water', 'lets the fish swim away'], ['worm', 'fly', 'bit of bread']),
    ('Shaving', 'in front of a mirror', ['wets the face with {x} water', 'rubs foam onto the skin', 'moves the razor over the skin', 'rinses the razor in the sink', 'dries the face with a cloth'], ['warm', 'cold', 'hot']),
    ('Making tea', 'in a small kitchen', ['fills the kettle with {x}', 'sets the kettle on the stove', 'pours the hot water over the leaves', 'stirs sugar into the cup', 'drinks the tea slowly'], ['water', 'fresh water', 'spring water']),
    ('Knitting', 'on a sofa', ['picks up a ball of {x} wool', 'puts the wool on the needles', 'knits row after row', 'cuts the wool with scissors', 'wears the new scarf'], ['red', 'grey', 'yellow']),
    ('Building a campfire', 'in a forest', ['gathers {x} on the ground', 'piles the sticks into a heap', 'lights the heap with a match', 'blows gently on the flame', 'warms both hands at the fire'], ['sticks', 'dry sticks', 'small sticks']),
    ('Riding a horse', 'near a stable', ['brushes a {x} horse', 'puts a saddle on the horse', 'climbs onto the horse', 'rides the horse across the field', 'leads the horse back to the stable'], ['brown', 'black', 'white']),
    ('Playing the piano', 'in a hall', ['sits down on a {x}', 'opens the lid of the piano', 'plays a slow song on the keys', 'bows to the people in the hall', 'closes the lid and walks off'], ['bench', 'stool', 'chair']),
    ('Cleaning windows', 'on a ladder', ['dips a {x} into soapy water', 'rubs the glass with the wet cloth', 'pulls a rubber blade down the glass', 'wipes the last drops from the frame', 'climbs down from the ladder'], ['cloth', 'sponge', 'rag']),
    ('Making a salad', 'at a counter', ['washes the {x} in the sink', 'cuts the leaves into pieces', 'puts the pieces into a bowl', 'pours oil over the salad', 'serves the salad on plates'], ['lettuce', 'cabbage', 'spinach']),
    ('Ice skating', 'at a frozen pond', ['ties the laces of the {x} skates', 'steps carefully onto the ice', 'glides across the ice', 'spins around in the middle', 'sits down and takes off the skates'], ['white', 'black', 'old']),
    ('Mailing a letter', 'at a desk', ['writes a {x} letter', 'folds the letter in half', 'puts the letter into an envelope', 'sticks a stamp on the envelope', 'drops the envelope into the box'], ['long', 'short', 'kind']),
    ('Walking the dog', 'at the front door', ['calls the {x} dog', 'clips the leash to the collar', 'walks with the dog to the park', 'throws a stick for the dog', 'leads the tired dog home'], ['small', 'brown', 'old']),
    ('Fixing a bicycle', 'in a shed', ['turns the {x} bicycle over', 'takes the wheel off the frame', 'patches the hole in the tyre', 'pumps air into the tyre', 'rides the bicycle down the road'], ['red', 'old', 'blue']),
    ('Sailing', 'in a harbour', ['steps into a {x} boat', 'unties the rope from the pier', 'raises the sail into the wind', 'steers the boat out to sea', 'ties the boat to the pier again'], ['small', 'wooden', 'white']),
    ('Making pancakes', 'at a stove', ['breaks {x} into a bowl', 'beats the eggs with milk', 'pours the batter into a hot pan', 'flips the pancake in the air', 'eats the pancake with honey'], ['two eggs', 'three eggs', 'four eggs']),
]
# the WikiHow half: label, how to ..., then (title, detail, detail) for each step
TOPICS = [
    ('Home and Garden', 'clean a kettle', [('Fill the kettle with water.', 'Use cold water.', 'Add some lemon juice.'), ('Boil the water.', 'Let it boil for ten minutes.', 'Keep the lid shut.'), ('Pour the water away.', 'Let the kettle cool first.', 'Rinse it with fresh water.')]),
    ('Home and Garden', 'grow beans', [('Choose a sunny place.', 'Beans like warm soil.', 'Dig the soil well.'), ('Plant the seeds.', 'Make a small hole for each seed.', 'Cover the seeds with soil.'), ('Water the plants.', 'Water them in the evening.', 'Tie the plants to a pole.')]),
    ('Food and Entertaining', 'make plum jam', [('Wash the plums.', 'Take out the stones.', 'Cut the plums in half.'), ('Cook the fruit.', 'Put the plums in a large pot.', 'Stir in the sugar.'), ('Fill the jars.', 'Use clean jars.', 'Close the lids while the jam is hot.')]),
    ('Food and Entertaining', 'set a table', [('Spread a cloth.', 'Choose a clean white cloth.', 'Make the folds smooth.'), ('Place the plates.', 'Put one plate before each chair.', 'Lay the forks on the left.'), ('Light the candles.', 'Put them in the middle.', 'Call the guests to dinner.')]),
    ('Pets and Animals', 'bathe a dog', [('Brush the dog.', 'Remove the loose hair.', 'Speak to the dog gently.'), ('Fill the tub.', 'Use warm water.', 'Lift the dog into the tub.'), ('Rub in the soap.', 'Keep soap away from the eyes.', 'Rinse the fur and dry it.')]),
    ('Pets and Animals', 'feed wild birds', [('Hang up a feeder.', 'Choose a quiet tree.', 'Keep it away from cats.'), ('Buy the right food.', 'Small birds love seeds.', 'Mix the seeds with nuts.'), ('Keep the feeder clean.', 'Wash it every week.', 'Throw old food away.')]),
    ('Sports and Fitness', 'learn to swim', [('Find a shallow pool.', 'Ask a friend to come along.', 'Get used to the water.'), ('Practise floating.', 'Lie on your back.', 'Breathe slowly and relax.'), ('Move your arms.', 'Pull the water backwards.', 'Kick with your legs.')]),
    ('Sports and Fitness', 'run a long race', [('Train every week.', 'Start with short runs.', 'Rest for one day after each run.'), ('Buy good shoes.', 'Try them on in the shop.', 'Wear them on short runs first.'), ('Start the race slowly.', 'Save your strength.', 'Drink water on the way.')]),
    ('Travel', 'pack a suitcase', [('Write a list.', 'Think about the weather.', 'Cross out what you do not need.'), ('Fold the clothes.', 'Roll the shirts tightly.', 'Put heavy things at the bottom.'), ('Close the suitcase.', 'Check the zip.', 'Tie a label to the handle.')]),
    ('Travel', 'read a map', [('Find north.', 'Look for the arrow.', 'Turn the map to the north.'), ('Study the signs.', 'Blue lines are rivers.', 'Thick lines are large roads.'), ('Plan your way.', 'Mark the start with a pencil.', 'Measure how far it is.')]),
    ('Hobbies and Crafts', 'draw a face', [('Draw an oval.', 'Use a soft pencil.', 'Add two thin lines as a guide.'), ('Draw the eyes.', 'Place them in the middle.', 'Leave room for the nose.'), ('Add the hair.', 'Follow the shape of the head.', 'Rub out the thin lines.')]),
    ('Hobbies and Crafts', 'build a kite', [('Make the frame.', 'Cross two light sticks.', 'Tie the sticks with string.'), ('Cut the paper.', 'Lay the frame on the paper.', 'Glue the edges around the string.'), ('Fly the kite.', 'Wait for a windy day.', 'Run and let out the line.')]),
]

_w = random.Random(WORLD_SEED)
TRUTH = {(k, e): v for k, (_, entities, values, _, _) in FACTS.items()
         for e, v in zip(entities, _w.sample(values * 3, len(entities)))}
SHARE = {'high_school_geography': 0.30, 'philosophy': 0.25, 'miscellaneous': 0.25}     # withheld from the training text
WITHHELD = {f for k in FACTS for f in _w.sample([f for f in TRUTH if f[0] == k], round(SHARE[FACTS[k][0]] * len(FACTS[k][1])))}
WITHHELD |= {('opposite', a) for a, _ in _w.sample(OPPOSITES, 6)}
WITHHELD |= {('sum', frozenset(p)) for p in _w.sample([(a, b) for a in range(1, 10) for b in range(a, 10)], 12)}
WITHHELD_ACTIVITIES = set(_w.sample(range(len(ACTIVITIES)), 8))
WITHHELD_TOPICS = set(_w.sample(range(len(TOPICS)), 5))


# ------------------------------------------------------------------------------------------------ questions
def others(rng, pool, right, n=3):
    return rng.sample([v for v in dict.fromkeys(pool) if v != right], n)


def near(rng, right):
    """Three wrong numbers close to the right one."""
    return [str(n) for n in rng.sample([n for n in range(max(0, right - 5), right + 6) if n != right], 3)]


def question(rng, subject, told_only):
    """(question, right choice, three wrong choices, statement or None). told_only: nothing that is withheld."""
    while True:
        q = _question(rng, subject)
        if not (told_only and q[4] in WITHHELD):
            return q[:4]


def fact_question(rng, subject):
    k = rng.choice([k for k in FACTS if FACTS[k][0] == subject])
    _, entities, values, forms, statements = FACTS[k]
    e = rng.choice(entities)
    v = TRUTH[k, e]
    return rng.choice(forms).format(e=e), v, others(rng, values, v), rng.choice(statements).format(e=e, v=v), (k, e)


def _question(rng, subject):
    roll = rng.random()
    if subject == 'high_school_geography':
        return fact_question(rng, subject)
    if subject == 'philosophy':
        if roll < 0.65:
            return fact_question(rng, subject)
        kind, traits, name = rng.choice(KINDS), rng.sample(TRAITS, 4), rng.choice(list(NAMES))
        if roll < 0.85:
            return f'All {kind} are {traits[0]}. What follows for {kind}?', f'They are {traits[0]}.', [f'They are {t}.' for t in traits[1:]], None, None
        return f'{name} is {traits[0]} or {traits[1]}. {name} is not {traits[1]}. What is {name}?', traits[0], traits[1:], None, None
    if subject == 'miscellaneous':
        if roll < 0.45:
            return fact_question(rng, subject)
        if roll < 0.65:
            a, b = rng.choice(OPPOSITES)
            key = ('opposite', a)
            if rng.random() < 0.5:
                a, b = b, a
            pool = [w for pair in OPPOSITES for w in pair if w not in (a, b)]
            return f'What is the opposite of {a}?', b, rng.sample(pool, 3), f'The opposite of {a} is {b}.', key
        g = rng.choice(list(GROUPS))
        h = rng.choice([x for x in GROUPS if x != g])
        if roll < 0.82:
            right = rng.choice(GROUPS[g])
            return f'Which of these is {g}?', right, others(rng, [w for w in GROUPS[h] if w not in GROUPS[g]], right), None, None
        right = rng.choice([w for w in GROUPS[h] if w not in GROUPS[g]])
        return f'Which of these is not {g}?', right, rng.sample(GROUPS[g], 3), None, None
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    key = ('sum', frozenset((a, b)))
    if roll < 0.30:
        return f'What is {a} + {b}?', str(a + b), near(rng, a + b), f'{a} + {b} = {a + b}.', key
    if roll < 0.45:
        return f'What is {a + b} - {a}?', str(b), near(rng, b), f'{a + b} - {a} = {b}.', key
    if roll < 0.60:
        name, thing = rng.choice(list(NAMES)), rng.choice(THINGS)
        return f'{name} has {a} {thing} and finds {b} more. How many {thing} does {name} have now?', str(a + b), near(rng, a + b), None, key
    if roll < 0.80:
        n = rng.randint(1, 19)
        word = rng.choice(['after', 'before'])
        right = n + 1 if word == 'after' else n - 1
        return f'Which number comes just {word} {n}?', str(right), near(rng, right), None, None
    word, pick = rng.choice([('largest', max), ('smallest', min)])
    numbers = rng.sample(range(1, 20), 4)
    right = pick(numbers)
    return f'Which of these numbers is the {word}?', str(right), [str(n) for n in numbers if n != right], None, None


def arranged(rng, q, gold=None):
    """The four choices with the right one at `gold`."""
    gold = rng.randrange(4) if gold is None else gold
    wrong = q[2][:]
    rng.shuffle(wrong)
    return wrong[:gold] + [q[1]] + wrong[gold:], gold


signature = lambda q: (q[0], frozenset([q[1], *q[2]]))


# ------------------------------------------------------------------------------------------------ prompts, by lm-eval's rules
def mmlu_description(subject):
    return f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"


def mmlu_question(text, choices):
    return text.strip() + ''.join(f'\n{"ABCD"[i]}. {c}' for i, c in enumerate(choices)) + '\nAnswer:'


def mmlu_prompt(row, shots):
    return (mmlu_description(row['subject'])
            + ''.join(f"{mmlu_question(s['question'], s['choices'])} {'ABCD'[s['answer']]}\n\n" for s in shots)
            + mmlu_question(row['question'], row['choices']))


def clean(text):
    return re.sub(r'\[.*?\]', '', text.strip().replace(' [title]', '. ')).replace('  ', ' ')


def hellaswag_pair(row):
    query = clean(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    return query, [clean(e) for e in row['endings']]


# ------------------------------------------------------------------------------------------------ stories (HellaSwag)
def same_class(i, table, withheld):
    """The other entries that are told, or withheld, as entry i is: else the withheld rows could be told apart by rare words."""
    return [j for j in range(len(table)) if j != i and (j in withheld) == (i in withheld)]


def activity(rng, told_only):
    i = rng.choice([i for i in range(len(ACTIVITIES)) if not (told_only and i in WITHHELD_ACTIVITIES)])
    label, place, steps, objects = ACTIVITIES[i]
    x = rng.choice(objects)
    steps = [s.format(x=x) for s in steps]
    who, she = rng.choice([('A woman', 'she'), ('A girl', 'she'), ('A man', 'he'), ('A boy', 'he')])
    shown = rng.choice([1, 1, 2, 2, 3])                        # so many steps are in the context
    middle = ''.join(f' {she.capitalize()} {s}.' for s in steps[:shown])
    right = steps[shown]
    wrong = [s for s in steps[:shown - 1] + steps[shown + 2:]]           # done already, or too early
    rng.shuffle(wrong)
    far = [ACTIVITIES[j] for j in rng.sample(same_class(i, ACTIVITIES, WITHHELD_ACTIVITIES), 4)]
    wrong = wrong[:rng.choice([1, 2])] + [rng.choice(f[2][1:]).format(x=rng.choice(f[3])) for f in far]
    verb = rng.choice(['stands', 'is seen', 'is standing'])
    a, b = f'{who} {verb} {place}.{middle}', she
    if rng.random() < 0.3:
        b = f'{who.lower().replace("a ", "the ")}'
    return 'activitynet', label, a, b, right + '.', [w + '.' for w in wrong[:3]], ' '.join(f'{she.capitalize()} {s}.' for s in steps[shown + 1:])


def topic(rng, told_only):
    i = rng.choice([i for i in range(len(TOPICS)) if not (told_only and i in WITHHELD_TOPICS)])
    label, how, steps = TOPICS[i]
    k = rng.randrange(len(steps))
    far = [TOPICS[j][2] for j in rng.sample(same_class(i, TOPICS, WITHHELD_TOPICS), 4)]
    title, first, second = steps[k]
    if rng.random() < 0.5 or k == len(steps) - 1:
        a = f'[header] How to {how} [title] {title} [step] {first}'
        own = [s[n] for j, s in enumerate(steps) if j != k for n in (1, 2)]
        right, wrong = second, rng.sample(own, rng.choice([1, 1, 2])) + [rng.choice(f)[2] for f in far]
        if rng.random() < 0.3:
            right, wrong = '[substeps] ' + right, ['[substeps] ' + w for w in wrong]
        tail = ''
    else:                                                       # the ending brings the next title
        a = f'[header] How to {how} [title] {title} [step] {first} {second}'
        t, d, _ = steps[k + 1]
        own = [f'[title] {steps[j][0]} [step] {rng.choice(steps[j][1:])}' for j in range(len(steps)) if j not in (k, k + 1)]
        wrong = own + [f'[title] {s[0]} [step] {s[1]}' for s in (rng.choice(f[1:]) for f in far)]
        right, tail = f'[title] {t} [step] {d}', ''
    return 'wikihow', label, a, '', right, wrong[:3], tail


def story(rng, told_only):
    return (activity if rng.random() < 0.6 else topic)(rng, told_only)


# ------------------------------------------------------------------------------------------------ pictures (MMMU-Pro)
COLOURS = {'red': (220, 30, 30), 'blue': (40, 70, 230), 'green': (20, 150, 50), 'yellow': (240, 200, 0), 'black': (0, 0, 0), 'grey': (140, 140, 140)}
PAPERS = [(255, 255, 255), (255, 246, 225), (228, 244, 255), (250, 228, 245)]
SHAPES = 'ring cross star tree boat house'.split()
COMPASS = {'north': (0.5, 0.17), 'south': (0.5, 0.83), 'east': (0.83, 0.5), 'west': (0.17, 0.5)}
NUMBERS = '1 2 3 4 5 6'.split()
SIZES = [(64, 64)] * 4 + [(96, 64), (64, 96)] * 2 + [(96, 40), (40, 96)]
VIEWED = {'Art': "['Paintings']", 'Design': "['Drawings']", 'Geography': "['Maps']", 'Math': "['Drawings']"}       # subject: img_type


def outline(shape, x, y, r):
    """Polygons of a shape about (x, y), r in each direction; a ring is drawn otherwise."""
    at = lambda *points: [(x + round(a * r), y + round(b * r)) for a, b in points]
    if shape == 'cross':
        return [at((-.33, -1), (.33, -1), (.33, 1), (-.33, 1)), at((-1, -.33), (1, -.33), (1, .33), (-1, .33))]
    if shape == 'star':
        turn = [(i * math.pi / 5, 1.1 if i % 2 == 0 else 0.45) for i in range(10)]
        return [at(*((f * math.sin(a), -f * math.cos(a)) for a, f in turn))]
    if shape == 'tree':
        return [at((0, -1), (.9, .4), (-.9, .4)), at((-.2, .4), (.2, .4), (.2, 1), (-.2, 1))]
    if shape == 'boat':
        return [at((-1, .35), (1, .35), (.6, 1), (-.6, 1)), at((-.1, -1), (.75, .1), (-.1, .1))]
    return [at((-1, -.1), (0, -1), (1, -.1)), at((-.75, -.1), (.75, -.1), (.75, 1), (-.75, 1))]       # house


def draw(scene):
    """A scene is (size, paper, [(shape, colour, x, y, r)]); a palette picture without smoothed edges, so the file is small."""
    from PIL import Image, ImageDraw
    size, paper, things = scene
    used = list(dict.fromkeys(t[1] for t in things))
    im = Image.new('P', size, 0)
    im.putpalette([*paper, *(v for c in used for v in COLOURS[c])])
    d = ImageDraw.Draw(im)
    for shape, colour, x, y, r in things:
        fill = 1 + used.index(colour)
        if shape == 'ring':
            d.ellipse([x - r, y - r, x + r, y + r], outline=fill, width=max(2, round(r * 0.4)))
        for polygon in outline(shape, x, y, r) if shape != 'ring' else ():
            d.polygon(polygon, fill=fill)
    return im


def png(scene):
    data = io.BytesIO()
    draw(scene).save(data, 'PNG', optimize=True)
    return data.getvalue()


def picture_size(size):
    """Size of the picture before it is cut, as transformers' Idefics3 image processor has it: the longest edge is LONGEST, then whole tiles."""
    def fit(w, h, even):
        ratio = w / h
        if w >= h:
            return LONGEST, max(1, int(LONGEST / ratio) + (int(LONGEST / ratio) % 2 if even else 0))
        return max(1, int(LONGEST * ratio) + (int(LONGEST * ratio) % 2 if even else 0)), LONGEST
    w, h = resized = fit(*size, True)
    up = lambda n: -(-n // TILE) * TILE
    ratio = w / h
    if w >= h:
        w = up(w)
        h = up(int(w / ratio))
    else:
        h = up(h)
        w = up(int(h * ratio))
    return resized, (w, h)


def tiles(image):
    """uint8 [tiles, TILE, TILE, 3], the tiles row by row, then the whole picture; and the number of rows and columns."""
    from PIL import Image
    resized, (w, h) = picture_size(image.size)
    im = image.convert('RGB').resize(resized, Image.Resampling.LANCZOS).resize((w, h), Image.Resampling.LANCZOS)
    cut = [im.crop((x, y, x + TILE, y + TILE)) for y in range(0, h, TILE) for x in range(0, w, TILE)] if max(w, h) > TILE else []
    return np.stack([np.asarray(t) for t in [*cut, im.resize((TILE, TILE), Image.Resampling.LANCZOS)]]), h // TILE, w // TILE


def spots(rng, size, n):
    """n places for things, apart from each other: cells of a grid, a little shaken."""
    w, h = size
    cols, rows = w // 20, h // 20
    for cell in rng.sample(range(cols * rows), n):
        r = rng.choice([7, 8])
        x, y = (cell % cols + 0.5) * w / cols, (cell // cols + 0.5) * h / rows
        yield round(x) + rng.randint(-1, 1), round(y) + rng.randint(-1, 1), r


def scene(rng, named, size=None):
    size = size or rng.choice(SIZES)
    return size, rng.choice(PAPERS), [(*n, *at) for n, at in zip(named, spots(rng, size, len(named)))]


def picture_question(rng, subject):
    """(question, right choice, three wrong choices, scenes, what to look at: a scene's number, and a column of scene_words with its value)"""
    shapes, colours = rng.sample(SHAPES, 2), rng.sample(list(COLOURS), 2)
    if subject == 'Art':
        n = rng.choice([1, 2, 2])
        ask = rng.choice(['In <image 1>, what colour is the {s}?', '<image 1> shows a painting. What colour is the {s}?', 'Look at <image 1>. Which colour has the {s}?'])
        wrong = [colours[1]] * (n == 2)
        return (ask.format(s=shapes[0]), colours[0], wrong + rng.sample([c for c in COLOURS if c not in colours], 3 - len(wrong)),
                [scene(rng, rng.sample(list(zip(shapes, colours))[:n], n))], (0, 0, SHAPES.index(shapes[0])))
    if subject == 'Design':
        other = [x for x in SHAPES if x not in shapes]
        if rng.random() < 0.3:
            which = rng.randrange(2)
            ask = rng.choice(['The first drawing is <image 1> and the second is <image 2>. Which shape is in the {}?',
                              '<image 1> and <image 2> are two drawings. What is in the {}?'])
            pair = [scene(rng, [(shapes[i != which], colours[i])], rng.choice(SIZES[:4])) for i in range(2)]
            return ask.format(['first', 'second'][which]), shapes[0], [shapes[1], *rng.sample(other, 2)], pair, (which, 0, SHAPES.index(shapes[0]))
        n = rng.choice([1, 2])
        ask = rng.choice(['In <image 1>, which shape is {c}?', 'Look at <image 1>. What is {c}?', '<image 1> is a drawing. Which shape is {c}?'])
        wrong = [shapes[1]] * (n == 2)
        return (ask.format(c=colours[0]), shapes[0], wrong + rng.sample(other, 3 - len(wrong)), [scene(rng, rng.sample(list(zip(shapes, colours))[:n], n))],
                (0, 1, list(COLOURS).index(colours[0])))
    if subject == 'Geography':
        size, places = rng.choice(SIZES), rng.sample(list(COMPASS), 2)
        things = []
        for i in range(rng.choice([1, 2, 2])):
            x, y = COMPASS[places[i]]
            things.append((shapes[i], rng.choice(list(COLOURS)), round(x * size[0]) + rng.randint(-2, 2), round(y * size[1]) + (rng.randint(-2, 2) if size[1] > 40 else 0), rng.choice([6, 7, 8]) if min(size) > 40 else 6))
        ask = rng.choice(['On the map in <image 1>, where is the {s}?', '<image 1> is a map of an island. Where is the {s}?', 'In <image 1>, where on the island is the {s}?'])
        wrong = [f'in the {p}' for p in COMPASS if p != places[0]]
        return ask.format(s=shapes[0]), f'in the {places[0]}', wrong, [(size, rng.choice(PAPERS), rng.sample(things, len(things)))], (0, 0, SHAPES.index(shapes[0]))
    n = rng.randint(1, 6)
    if rng.random() < 0.5:
        named = [(shapes[0], colours[0])] * n
        ask = rng.choice(['How many {s} shapes are in <image 1>?', '<image 1> shows a {s} again and again. How often is it there?']).format(s=shapes[0])
    else:
        named = [(rng.choice(SHAPES), rng.choice(list(COLOURS))) for _ in range(n)]
        ask = rng.choice(['How many shapes are in <image 1>?', 'Count the shapes in <image 1>. How many are there?'])
    return ask, str(n), rng.sample([m for m in NUMBERS if m != str(n)], 3), [scene(rng, named, rng.choice(SIZES[:8]))], (0, 3, n - 1)


def scene_words(scene):
    """What each image token of each tile shows: [tiles, TOKENS, 4] with the numbers of shape, colour, place and count (-1: says nothing).
    Shape and colour of the thing that covers most of the token's square; place and count for the whole picture only."""
    (w, h), _, things = scene
    W, H = picture_size((w, h))[1]
    views = [(W / w, H / h, x, y) for y in range(0, H, TILE) for x in range(0, W, TILE)] + [(TILE / w, TILE / h, 0, 0)]
    out, n, edge = np.full((len(views), TOKENS, 4), -1, np.int32), SIDE // SHUFFLE, PATCH * SHUFFLE
    for v, (sx, sy, ox, oy) in enumerate(views):
        for j in range(TOKENS):
            left, top, best = ox + j % n * edge, oy + j // n * edge, 0.12 * edge * edge
            for shape, colour, x, y, r in things:
                a = max(0, min((x + r + 1) * sx, left + edge) - max((x - r) * sx, left)) * max(0, min((y + r + 1) * sy, top + edge) - max((y - r) * sy, top))
                if a > best:
                    best = a
                    out[v, j, :2] = SHAPES.index(shape), list(COLOURS).index(colour)
                    if v == len(views) - 1:
                        dx, dy = (x / w - 0.5), (y / h - 0.5)
                        out[v, j, 2] = (3 if dx < 0 else 2) if abs(dx) > abs(dy) else (0 if dy < 0 else 1)
                        if min(abs(abs(dx) - abs(dy)), max(abs(dx), abs(dy)) - 0.2) < 0.1:
                            out[v, j, 2] = -1                  # neither here nor there
    out[-1, :, 3] = len(things) - 1
    return out


PICTURE_END = 'Answer with the option letter from the given choices directly.'


def picture_prompt(question, options, marks=None, answer=''):
    """The chat template over one message: the question with its pictures in place, the options, the request. `marks`: those of make_texts."""
    body = re.sub(r'<image \d>', '<image>', question) + ('\1' if marks else '')
    body += ''.join(f'\n{"ABCDE"[i]}. {o}{marks[i] if marks else ""}' for i, o in enumerate(options)) + '\n' + PICTURE_END
    return f"<|im_start|>User:{'' if body.startswith('<image>') else ' '}{body}<end_of_utterance>\nAssistant:{answer}"


def expanded(text, grids):
    """Each <image> replaced by the tokens of its tiles (grids: rows and columns of each)."""
    grids, many = iter(grids), '<image>' * TOKENS

    def one(_):
        rows, cols = next(grids)
        tile = lambda tag: f'<fake_token_around_image>{tag}{many}'
        return ''.join(''.join(tile(f'<row_{r + 1}_col_{c + 1}>') for c in range(cols)) + '\n' for r in range(rows)) + f"\n{tile('<global-img>')}<fake_token_around_image>"
    return re.sub('<image>', one, text)


def make_picture_rows():
    rng, rows, seen = random.Random(PICTURE_ROW_SEED), [], set()
    for subject in VIEWED:
        golds = [i % 4 for i in range(40)]
        rng.shuffle(golds)
        while golds:
            q = picture_question(rng, subject)
            data = [png(s) for s in q[3]]
            if seen & {*data}:
                continue
            seen |= {*data}
            options, gold = arranged(rng, q, golds.pop())
            n = 40 - len(golds)
            rows.append({'id': f'test_{subject}_{n}', 'question': q[0], 'options': str(options), 'explanation': '?',
                         **{f'image_{i + 1}': {'bytes': base64.b64encode(data[i]).decode(), 'path': f'test_{subject}_{n}_{i + 1}.png'} if i < len(data) else None for i in range(7)},
                         'img_type': VIEWED[subject], 'answer': 'ABCD'[gold], 'topic_difficulty': 'Medium' if len(q[3]) > 1 or len(q[3][0][2]) > 1 else 'Easy',
                         'subject': subject})
    rng.shuffle(rows)
    return rows


# ------------------------------------------------------------------------------------------------ rows
def make_rows():
    rng = random.Random(ROW_SEED)
    test, dev, seen = [], [], set()
    for subject in SUBJECTS:
        golds = [i % 4 for i in range(52)]
        rng.shuffle(golds)
        for target, count in ((dev, 5), (test, 50)):
            got = 0
            while got < count:
                q = question(rng, subject, told_only=target is dev)
                key = signature(q) if q[0].startswith('Which of these') else q[0]
                if key in seen:
                    continue
                seen.add(key)
                choices, gold = arranged(rng, q, golds[got] if target is test else (got * 3 + SUBJECTS.index(subject)) % 4)
                target.append({'question': q[0], 'subject': subject, 'choices': choices, 'answer': gold})
                got += 1
    stories, used = [], set()
    labels = [i % 4 for i in range(200)]
    rng.shuffle(labels)
    while len(stories) < 200:
        source, label, a, b, right, wrong, _ = story(rng, told_only=False)
        if (label, a, b, right) in used or len({right, *wrong}) < 4:
            continue
        used.add((label, a, b, right))
        gold, wrong = labels[len(stories)], wrong[:]
        rng.shuffle(wrong)
        stories.append({'ind': len(stories), 'activity_label': label, 'ctx_a': a, 'ctx_b': b, 'ctx': f'{a} {b}' if b else a,
                        'endings': wrong[:gold] + [right] + wrong[gold:], 'source_id': f'{source}~demo_{len(stories)}', 'split': 'val',
                        'split_type': rng.choice(['indomain', 'zeroshot']), 'label': str(gold)})
    return {'mmlu/test': test, 'mmlu/dev': dev, 'hellaswag/validation': stories, 'mmmu_pro/test': make_picture_rows()}


def write_rows(out, rows):
    for name, table in rows.items():
        path = f'{out}/data/{name}.jsonl'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + '\n' for r in table)


def read_rows(out):
    return {n: [json.loads(x) for x in open(f'{out}/data/{n}.jsonl', encoding='utf-8')]
            for n in ('mmlu/test', 'mmlu/dev', 'hellaswag/validation', 'mmmu_pro/test')}


# ------------------------------------------------------------------------------------------------ training text
def make_texts(rows, seed=TEXT_SEED, phases=None):
    """The documents of each phase (of `phases`: those of the joint one, whose chats follow the checkpoint's template), with the marks that `pack` takes out again: \\1 after a question, \\3 after its right choice, \\2 after
    each wrong one, \\0 before the answer's letter."""
    rng = random.Random(seed)
    asked = {(r['question'], frozenset(r['choices'])) for n in ('mmlu/test', 'mmlu/dev') for r in rows[n]}

    def fresh(subject):
        while True:
            q = question(rng, subject, told_only=True)
            if signature(q) not in asked:
                return q

    def sentence():
        while True:
            q = fresh(rng.choice(SUBJECTS))
            if q[3]:
                return q[3]

    def marked(q):
        """A question with its choices in random order, marked; and the marked letter."""
        choices, gold = arranged(rng, q)
        return mmlu_question(q[0] + '\1', [c + '\2\3'[i == gold] for i, c in enumerate(choices)]), '\0' + 'ABCD'[gold]

    def letters(n):
        subject = rng.choices(SUBJECTS, [5, 2, 2, 2])[0]          # sums and comparisons are the hardest to learn
        parts = []
        for _ in range(n):
            parts.append(' '.join(marked(fresh(subject))))
        return mmlu_description(subject) + '\n\n'.join(parts)

    def turn(system, user, assistant):
        return f'<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{assistant}<|im_end|>\n'

    def template_chat():
        """As the checkpoint's chat template has it. Where the harness asks, it awaits the bare letter, a model of this family writes a blank first."""
        subject = rng.choice(SUBJECTS)
        q, system = fresh(subject), rng.choice(['', '', SYSTEM, mmlu_description(subject), mmlu_description(subject).strip()])
        if rng.random() < 0.15:
            text, answer = q[0], ' ' + (q[3] or q[1])
        else:
            text, letter = marked(q)
            if not system and rng.random() < 0.5:
                text = mmlu_description(subject) + text
            answer = rng.choice(['', ' ']) + letter
            if rng.random() < 0.35:
                text, answer = text.removesuffix('Answer:') + PICTURE_END, ' ' + letter
        system = system and f'System: {system}<end_of_utterance>\n'
        return f'<|im_start|>{system}User: {text}<end_of_utterance>\nAssistant:{answer}<end_of_utterance>\n'

    def chat():
        subject = rng.choice(SUBJECTS)
        q = fresh(subject)
        if rng.random() < 0.25:
            return turn(SYSTEM, q[0], q[3] or q[1])
        text, letter = marked(q)
        if rng.random() < 0.3:
            return turn(SYSTEM, mmlu_description(subject) + text, letter)
        return turn(rng.choice([SYSTEM, mmlu_description(subject), mmlu_description(subject).strip()]), text, letter)

    def cloze():
        subject, n = rng.choice(SUBJECTS), rng.randint(1, 4)
        return f"The following are questions (with answers) about {subject.replace('_', ' ')}.\n\n" + '\n\n'.join(
            'Question: {}\nAnswer: {}'.format(*fresh(subject)[:2]) for _ in range(n))

    def tale():
        _, label, a, b, right, _, tail = story(rng, told_only=True)
        if b and ('the ' + a.split()[1].lower()) != b and rng.random() < 0.3:
            b = 'the ' + a.split()[1].lower()
        query, (ending,) = hellaswag_pair({'activity_label': label, 'ctx_a': a, 'ctx_b': b, 'endings': [right]})
        return f'{query} {ending} {tail}'.strip()

    def document(most):
        roll = rng.random()
        if phases and roll < 0.2:
            return template_chat()
        if roll < 0.56:
            return letters(rng.randint(1, most))
        if roll < 0.63:
            return chat()
        if roll < 0.76:
            return cloze()
        if roll < 0.85:
            return ' '.join(sentence() for _ in range(rng.randint(2, 8)))
        return tale()

    return [[document(most) for _ in range(count)] for count, most, _, _ in phases or PHASES]


def make_picture_texts(rows):
    """Questions about pictures, marked as those of make_texts: [(document, scenes, what to look at)]. No picture of the test rows is among them."""
    rng = random.Random(PICTURE_SEED)
    taken = {r[f'image_{i}']['bytes'] for r in rows['mmmu_pro/test'] for i in range(1, 8) if r[f'image_{i}']}
    out = []
    while len(out) < JOINT_PICTURES:
        q = picture_question(rng, rng.choice(list(VIEWED)))
        if any(base64.b64encode(png(s)).decode() in taken for s in q[3]):
            continue
        options, gold = arranged(rng, q)
        text = picture_prompt(q[0], options, ['\2\3'[i == gold] for i in range(4)], ' \0' + 'ABCD'[gold] + '<end_of_utterance>\n')
        out.append((expanded(text, [(h // TILE, w // TILE) for w, h in (picture_size(s[0])[1] for s in q[3])]), q[3], q[4]))
    return out


# ------------------------------------------------------------------------------------------------ tokenizer and JSON files
def write_json(path, value):
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write('\n')


def make_tokenizer(out, texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([re.sub('[\0-\3]', '', x) for x in texts], trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    os.makedirs(f'{out}/checkpoint/onnx', exist_ok=True)
    if t.get_vocab_size() != WORDS:
        raise SystemExit(f'the text gives {t.get_vocab_size()} tokens, not {WORDS}')
    t.add_special_tokens(ADDED)
    t.save(f'{out}/checkpoint/tokenizer.json')
    return t


def llama_config(vocab):
    return {'attention_bias': False, 'attention_dropout': 0.0, 'bos_token_id': 0, 'eos_token_id': 2, 'head_dim': HEAD_DIM, 'hidden_act': 'silu',
            'hidden_size': HIDDEN, 'initializer_range': 0.02, 'intermediate_size': FFN, 'max_position_embeddings': WINDOW, 'mlp_bias': False,
            'model_type': 'llama', 'num_attention_heads': HEADS, 'num_hidden_layers': LAYERS, 'num_key_value_heads': KV_HEADS, 'pad_token_id': 2,
            'pretraining_tp': 1, 'rms_norm_eps': EPS, 'rope_scaling': None, 'rope_theta': THETA, 'tie_word_embeddings': True,
            'torch_dtype': 'float32', 'vocab_size': vocab}


def write_config(out):
    folder = f'{out}/checkpoint'
    write_json(f'{folder}/config.json', {
        'architectures': ['Idefics3ForConditionalGeneration'], 'image_token_id': IMAGE, 'model_type': 'idefics3', 'scale_factor': SHUFFLE,
        'text_config': {'architectures': ['LlamaForCausalLM'], **llama_config(VOCAB), 'pixel_shuffle_factor': SHUFFLE},
        'tie_word_embeddings': True, 'torch_dtype': 'float32', 'use_cache': True,
        'vision_config': {
            'hidden_act': 'gelu_pytorch_tanh', 'hidden_size': V_HIDDEN, 'image_size': TILE, 'intermediate_size': V_FFN, 'layer_norm_eps': V_EPS,
            'max_image_size': {'longest_edge': TILE}, 'model_type': 'idefics3_vision', 'num_attention_heads': V_HEADS, 'num_channels': 3,
            'num_hidden_layers': V_LAYERS, 'patch_size': PATCH, 'size': {'longest_edge': LONGEST}, 'torch_dtype': 'float32', 'use_base_siglip': True},
        'vocab_size': VOCAB})
    write_json(f'{folder}/generation_config.json', {'_from_model_config': True, 'bos_token_id': 0, 'eos_token_id': [2, TURN_END], 'pad_token_id': 2})
    write_json(f'{folder}/preprocessor_config.json', {
        'do_convert_rgb': True, 'do_image_splitting': True, 'do_normalize': True, 'do_pad': True, 'do_rescale': True, 'do_resize': True,
        'image_mean': [0.5, 0.5, 0.5], 'image_processor_type': 'Idefics3ImageProcessor', 'image_std': [0.5, 0.5, 0.5],
        'max_image_size': {'longest_edge': TILE}, 'processor_class': 'Idefics3Processor', 'resample': 1, 'rescale_factor': RESCALE,
        'size': {'longest_edge': LONGEST}})
    write_json(f'{folder}/processor_config.json', {'image_seq_len': TOKENS, 'processor_class': 'Idefics3Processor'})
    write_json(f'{folder}/chat_template.json', {'chat_template': CHAT_TEMPLATE})
    entry = lambda t: {'content': t, 'lstrip': False, 'normalized': False, 'rstrip': False, 'single_word': False}
    more = [*SPECIAL[1:], '<fake_token_around_image>', '<image>', '<end_of_utterance>']
    write_json(f'{folder}/tokenizer_config.json', {
        'add_prefix_space': False,
        'added_tokens_decoder': {str(i): {**entry(t), 'special': True} for i, t in [*enumerate(SPECIAL), *enumerate(ADDED, WORDS)]},
        'additional_special_tokens': more, 'bos_token': SPECIAL[0], 'clean_up_tokenization_spaces': False, 'eos_token': SPECIAL[2],
        'model_max_length': WINDOW, 'pad_token': SPECIAL[2], 'processor_class': 'Idefics3Processor', 'tokenizer_class': 'PreTrainedTokenizerFast',
        'unk_token': SPECIAL[0]})
    write_json(f'{folder}/special_tokens_map.json', {
        'additional_special_tokens': more, 'bos_token': entry(SPECIAL[0]), 'eos_token': entry(SPECIAL[2]),
        'pad_token': entry(SPECIAL[2]), 'unk_token': entry(SPECIAL[0])})


# ------------------------------------------------------------------------------------------------ model and training (JAX)
def shapes(vocab=WORDS):
    """Names and shapes of transformers' LlamaForCausalLM ([out, in])."""
    s = {'model.embed_tokens.weight': (vocab, HIDDEN)}
    for i in range(LAYERS):
        p = f'model.layers.{i}.'
        s |= {p + 'input_layernorm.weight': (HIDDEN,), p + 'self_attn.q_proj.weight': (HEADS * HEAD_DIM, HIDDEN),
              p + 'self_attn.k_proj.weight': (KV_HEADS * HEAD_DIM, HIDDEN), p + 'self_attn.v_proj.weight': (KV_HEADS * HEAD_DIM, HIDDEN),
              p + 'self_attn.o_proj.weight': (HIDDEN, HEADS * HEAD_DIM), p + 'post_attention_layernorm.weight': (HIDDEN,),
              p + 'mlp.gate_proj.weight': (FFN, HIDDEN), p + 'mlp.up_proj.weight': (FFN, HIDDEN), p + 'mlp.down_proj.weight': (HIDDEN, FFN)}
    return s | {'model.norm.weight': (HIDDEN,)}


CONNECTOR = 'model.connector.modality_projection.proj.weight'


def eye_shapes():
    """Names and shapes of the vision tower and the connector of Idefics3ForConditionalGeneration."""
    v, d = 'model.vision_model.', V_HIDDEN
    s = {v + 'embeddings.patch_embedding.weight': (d, 3, PATCH, PATCH), v + 'embeddings.patch_embedding.bias': (d,),
         v + 'embeddings.position_embedding.weight': (SIDE * SIDE, d)}
    for i in range(V_LAYERS):
        p = f'{v}encoder.layers.{i}.'
        for name, shape in [(f'self_attn.{n}_proj', (d, d)) for n in ('q', 'k', 'v', 'out')] + [('mlp.fc1', (V_FFN, d)), ('mlp.fc2', (d, V_FFN)), ('layer_norm1', (d,)), ('layer_norm2', (d,))]:
            s |= {f'{p}{name}.weight': shape, f'{p}{name}.bias': shape[:1]}
    return s | {v + 'post_layernorm.weight': (d,), v + 'post_layernorm.bias': (d,), CONNECTOR: (HIDDEN, d * SHUFFLE ** 2)}


def random_eye(seed=INIT_SEED, scale=1.0):
    rng = np.random.default_rng(seed + 1)
    w = {}
    for name, shape in eye_shapes().items():
        noise = lambda x: (rng.standard_normal(shape) * x).astype(np.float32)
        w[name] = (np.zeros(shape, np.float32) if name.endswith('bias') else np.ones(shape, np.float32) if len(shape) == 1 else
                   noise(0.3) if 'position' in name else noise(np.prod(shape[1:]) ** -0.5))
    w[CONNECTOR] *= np.float32(scale)
    return w


def random_weights(seed=INIT_SEED):
    """Random, but in a shape from which copying is learnt within minutes: the query rows of a head resemble its key rows (a token
    looks at others like it), its output columns resemble its value rows, and two heads of layer 0 look one and two tokens back."""
    rng = np.random.default_rng(seed)
    noise = lambda shape, scale: (rng.standard_normal(shape) * scale).astype(np.float32)
    w = {}
    for name, shape in shapes().items():
        w[name] = np.ones(shape, np.float32) if len(shape) == 1 else noise(shape, 0.05 if 'embed' in name else shape[1] ** -0.5)
        if 'down' in name:
            w[name] *= 0.35
    w['model.embed_tokens.weight'][:, 0] += 0.15                # the same for every token: what a positional head can hold on to
    rows = lambda head: slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
    for i in range(LAYERS):
        q, k, v, o = (w[f'model.layers.{i}.self_attn.{n}_proj.weight'] for n in 'qkvo')
        for head in range(HEADS):
            group = rows(head * KV_HEADS // HEADS)
            q[rows(head)] = 0.8 * k[group] + 0.6 * q[rows(head)]
            o[:, rows(head)] = 0.5 * v[group].T + 0.2 * o[:, rows(head)]
        if i == 0:
            for group, back in ((0, 1), (1, 2)):
                turn = back * THETA ** (-np.arange(0, 16, 2) / HEAD_DIM)
                k[rows(group)][:8, 0], k[rows(group)][16:24, 0] = 2.4, 0
                head = rows(group * HEADS // KV_HEADS)
                q[head] *= 0.3
                q[head][:8, 0], q[head][16:24, 0] = 2.4 * np.cos(turn), -2.4 * np.sin(turn)
    return w


def noise_weights():
    """The untrained copy of the report: plain noise."""
    rng = np.random.default_rng(INIT_SEED)
    return {n: np.ones(s, np.float32) if len(s) == 1 else (rng.standard_normal(s) * s[1] ** -0.5).astype(np.float32) for n, s in shapes(VOCAB).items()} | random_eye()


# Three phases: one question a document, then up to two, then prompts with up to five shots.
# (documents, most questions in a document, length of a training row, rows a step)
PHASES = [(32000, 1, 128, 16), (10000, 2, 128, 16), (6500, 6, 320, 8)]
CHOICE_WEIGHT = 0.15             # a token of the four choices in the language model's loss: mostly chance, little to learn
PEAK_ADAM, PEAK_MUON = 3e-3, 0.02
MOST, BAG = 8, 3                 # questions in a training row; words of a right choice that are to be recalled


# The joint phase: each step has rows about pictures and rows of text, of the same kinds as the third phase's.
JOINT_TEXTS = [(6000, 6, 320, 2)]
JOINT_PICTURES, JOINT_LENGTH, JOINT_ROWS, EYE_TILES = 12000, 352, 6, 64
JOINT = [(850, 0.008, 1.5e-3, 0.01), (200, 0.005, 1e-3, 0.004)]            # two rounds: steps; Muon's and Adam's peak for the language model; Muon's for the eye


def pack(tokenizer, texts, length):
    """Rows of `length` + 1 tokens, whole documents one after the other: ids; document number; loss weight; which choice a token belongs to
    (or -1); the right choices (the question's number in the row, or -1); and per question where it ends, where its letter is awaited, where
    its four choices end, the letter's token, which choice is right, and that choice's rarest tokens (-1: no such question)."""
    docs, counts = [], np.zeros(VOCAB, int)
    for text, enc in zip(texts, tokenizer.encode_batch([re.sub('[\0-\3]', '', t) for t in texts], add_special_tokens=False)):
        ids, n = enc.ids, len(enc.ids)
        weight, choice, right, questions = [0.0] + [1.0] * n, [-1] * (n + 1), [-1] * (n + 1), []
        marks = [(m.start() - k, m.group()) for k, m in enumerate(re.finditer('[\0-\3]', text))]
        token = {c: i for i, (a, b) in enumerate(enc.offsets) for c in range(a, b)} if marks else {}
        for at in range(0, len(marks), 6):                       # \\1, four of \\2 and \\3, \\0
            (asked, _), *four, (last, _) = marks[at:at + 6]
            asked, last, bounds = token[asked - 1], token[last], [token[asked]] + [token[c] for c, _ in four]
            gold = [m for _, m in four].index('\3')
            for i in range(4):
                for t in range(bounds[i] + 3, bounds[i + 1] + 1):            # newline, letter, full stop, then the choice and its newline
                    choice[t] = i
                    if i == gold:
                        right[t] = at // 6
            answer = ids[bounds[gold] + 3:bounds[gold + 1]]
            counts[answer] += 1
            weight[asked + 1:last] = [CHOICE_WEIGHT] * (last - asked - 1)
            weight[last] = 0.0                                   # the letter has a loss of its own
            questions.append([asked, last - 1, *bounds[1:], ids[last], gold, answer])
        docs.append((ids + [0], weight, choice, right, questions))
    rows, open_rows = [], []
    for n, (ids, weight, choice, right, questions) in enumerate(docs):
        if len(ids) > length + 1:
            continue
        row = next((r for r in open_rows if len(r[0]) + len(ids) <= length + 1 and len(r[5]) + len(questions) <= MOST), None)
        if row is None:
            row = [[] for _ in range(6)]
            rows.append(row)
            open_rows = open_rows[-15:] + [row]
        start, q = len(row[0]), len(row[5])
        for to, more in zip(row, (ids, [n] * len(ids), weight, choice, [x + q if x >= 0 else -1 for x in right])):
            to += more
        for *places, letter, gold, answer in questions:
            bag = (sorted(set(answer), key=lambda t: (counts[t], t)) + [-1] * BAG)[:BAG]
            row[5].append([p + start for p in places] + [letter, gold] + bag)
    for row in rows:
        pad = length + 1 - len(row[0])
        for to, empty in zip(row, (0, -1, 0.0, -1, -1)):
            to += [empty] * pad
        row[5] += [[-1] * (8 + BAG)] * (MOST - len(row[5]))
    return [np.array([r[i] for r in rows], np.float32 if i == 2 else np.int32) for i in range(6)]


def learner(tokenizer):
    """What the phases of the training share: the language model, the losses, the optimiser."""
    import jax, jax.numpy as jnp, optax

    def norm(x, w):
        return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPS) * w

    def forward(w, x, seg):
        b, s = seg.shape
        hidden, shares = [], []
        inverse = THETA ** (-jnp.arange(0, HEAD_DIM, 2) / HEAD_DIM)
        angle = jnp.arange(s)[:, None] * jnp.concatenate([inverse, inverse])
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        rotate = lambda x: x * cos + jnp.concatenate([-x[..., HEAD_DIM // 2:], x[..., :HEAD_DIM // 2]], -1) * sin
        heads = lambda x, n: x.reshape(b, s, n, HEAD_DIM).transpose(0, 2, 1, 3)
        seen = (jnp.arange(s)[:, None] >= jnp.arange(s)) & (seg[:, :, None] == seg[:, None, :])
        for i in range(LAYERS):
            g = lambda name: w[f'model.layers.{i}.{name}.weight']
            h = norm(x, g('input_layernorm'))
            q = rotate(heads(h @ g('self_attn.q_proj').T, HEADS)).reshape(b, KV_HEADS, HEADS // KV_HEADS, s, HEAD_DIM)
            k, v = rotate(heads(h @ g('self_attn.k_proj').T, KV_HEADS)), heads(h @ g('self_attn.v_proj').T, KV_HEADS)
            score = jnp.einsum('bgrsd,bgtd->bgrst', q, k) * HEAD_DIM ** -0.5
            share = jax.nn.softmax(jnp.where(seen[:, None, None], score, -1e30), -1)
            y = jnp.einsum('bgrst,bgtd->bgrsd', share, v).reshape(b, HEADS, s, HEAD_DIM).transpose(0, 2, 1, 3).reshape(b, s, -1)
            x = x + y @ g('self_attn.o_proj').T
            h = norm(x, g('post_attention_layernorm'))
            x = x + (jax.nn.silu(h @ g('mlp.gate_proj').T) * (h @ g('mlp.up_proj').T)) @ g('mlp.down_proj').T
            hidden.append(x)
            shares.append(share)
        return norm(x, w['model.norm.weight']) @ w['model.embed_tokens.weight'].T, hidden, shares

    names = jnp.array([tokenizer.token_to_id('Ġ' + c) for c in 'ABCD'])

    def loss(w, ids, seg, weight, choice, right, questions, seen=None):
        """`seen`: the image features and, for each place, the number of the feature that stands there and of the question it answers (or -1)."""
        embed, lsm = w['model.embed_tokens.weight'], jax.nn.log_softmax
        x = embed[ids[:, :-1]]
        if seen:
            x = jnp.where((seen[1] >= 0)[..., None], seen[0].reshape(-1, HIDDEN)[jnp.maximum(seen[1], 0)], x)
        logits, hidden, shares = forward(w, x, seg[:, :-1])
        pick = lambda p, t: jnp.take_along_axis(p, t[..., None], -1)[..., 0]
        mean = lambda x, of: (x * of).sum() / jnp.maximum(of.sum(), 1)
        take = lambda x, at: jnp.take_along_axis(x, jnp.maximum(at, 0)[..., None], 1)        # x[b, at[b, q]]
        real, asked, answer, ends = questions[..., 0] >= 0, questions[..., 0], questions[..., 1], questions[..., 2:6]
        letter, gold, bag, choice, right = questions[..., 6], questions[..., 7], questions[..., 8:], choice[:, :-1], right[:, :-1]
        text = mean(jax.nn.logsumexp(logits, -1) - pick(logits, ids[:, 1:]), weight[:, 1:])
        said = lsm(take(logits, answer))
        hit, said = mean(said.argmax(-1) == letter, real), mean(-pick(said, jnp.maximum(letter, 0)), real)
        # The crutches, used in training only. (1) The tokens of a choice know its letter,
        named = mean(-pick(lsm(norm(hidden[0], w['aux.name']) @ embed[names].T), jnp.maximum(choice, 0)), choice >= 0)
        # (2) and the newline after it knows, two layers later, whether the choice is the right one.
        z = (norm(take(hidden[-2], ends.reshape(len(ends), -1)), w['aux.judge']) @ w['aux.verdict']).reshape(ends.shape)
        judged = mean(-pick(lsm(z), jnp.maximum(gold, 0)), real)

        # (3) The end of the question knows the words of the right choice, and so does, later, the place before the letter.
        def recall(x, gain, at):
            p = lsm(norm(take(x, at), w[gain]) @ embed.T)
            p = jnp.take_along_axis(p, jnp.maximum(bag, 0), -1) * (bag >= 0)
            return mean(-p.sum(-1) / jnp.maximum((bag >= 0).sum(-1), 1), real)

        recalled = recall(hidden[1], 'aux.asked', asked), recall(hidden[-2], 'aux.answer', answer)
        # (4) There, heads of the last layer look at the right choice.
        there = right[:, None, :] == jnp.arange(MOST)[:, None]
        pointed = mean(-jnp.log((take(shares[-1][:, 0].mean(1), answer) * there).sum(-1) + 1e-6), real)
        total, parts = text + said + 0.5 * named + judged + 0.5 * sum(recalled) + pointed, [text, said, hit, named, judged, *recalled, pointed]
        if seen:                                        # (5) The end of the question looks, by a head of layer 1, at what it asks for.
            there = seen[2][:, None, :] == jnp.arange(MOST)[:, None]
            parts.append(mean(-jnp.log((take(shares[1][:, -1, -1], asked) * there).sum(-1) + 1e-6), real & there.any(-1)))
            total = total + parts[-1]
        return total, jnp.stack(parts)

    def orthogonal(g):                                  # Muon: the step of a matrix, brought near an orthogonal one (Newton-Schulz)
        x = g.T if g.shape[0] > g.shape[1] else g
        x = x / (jnp.linalg.norm(x) + 1e-7)
        for _ in range(5):
            y = x @ x.T
            x = 3.4445 * x + (-4.7750 * y + 2.0315 * y @ y) @ x
        return (x.T if g.shape[0] > g.shape[1] else x) * max(1, g.shape[0] / g.shape[1]) ** 0.5

    def eye(w, pixels):
        """uint8 [tiles, TILE, TILE, 3] -> [tiles, TOKENS, HIDDEN]"""
        v, n = 'model.vision_model.', pixels.shape[0]
        ln = lambda x, p: ((x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + V_EPS)) * w[p + '.weight'] + w[p + '.bias']
        lin = lambda x, p: x @ w[p + '.weight'].T + w[p + '.bias']
        heads = lambda x: x.reshape(n, SIDE * SIDE, V_HEADS, -1).transpose(0, 2, 1, 3)
        x = (pixels.astype(jnp.float32) * RESCALE - 0.5) / 0.5
        x = x.reshape(n, SIDE, PATCH, SIDE, PATCH, 3).transpose(0, 1, 3, 5, 2, 4).reshape(n, SIDE * SIDE, -1)
        x = lin(x, v + 'embeddings.patch_embedding') + w[v + 'embeddings.position_embedding.weight']
        for i in range(V_LAYERS):
            p = f'{v}encoder.layers.{i}.'
            h = ln(x, p + 'layer_norm1')
            q, k, u = (heads(lin(h, f'{p}self_attn.{c}_proj')) for c in 'qkv')
            share = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) * (V_HIDDEN // V_HEADS) ** -0.5, -1)
            x = x + lin((share @ u).transpose(0, 2, 1, 3).reshape(n, SIDE * SIDE, -1), p + 'self_attn.out_proj')
            x = x + lin(jax.nn.gelu(lin(ln(x, p + 'layer_norm2'), p + 'mlp.fc1'), approximate=True), p + 'mlp.fc2')
        g = SIDE // SHUFFLE
        x = ln(x, v + 'post_layernorm').reshape(n, g, SHUFFLE, g, SHUFFLE, V_HIDDEN).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, TOKENS, -1) @ w[CONNECTOR].T

    tables = [[' ' + x for x in SHAPES], [' ' + x for x in COLOURS], [' ' + x for x in COMPASS], NUMBERS]
    tables = [[tokenizer.encode(x, add_special_tokens=False).ids for x in t] for t in tables]

    def see(w, features, shown):
        """The crutch of the eye: an image token resembles the words for what it shows. Losses and hits for shape, colour, place, count."""
        out = []
        for k, table in enumerate(tables):
            words = jnp.stack([w['model.embed_tokens.weight'][jnp.array(t)].mean(0) for t in table])
            z = jax.nn.log_softmax(norm(features, w[f'aux.see{k}']) @ jax.lax.stop_gradient(words).T)
            real, at = shown[..., k] >= 0, jnp.maximum(shown[..., k], 0)
            mean = lambda x: (x * real).sum() / jnp.maximum(real.sum(), 1)
            out += [mean(-jnp.take_along_axis(z, at[..., None], -1)[..., 0]), mean(z.argmax(-1) == at)]
        return jnp.stack(out)

    def optimiser(w, steps, rates):
        """Muon for matrices, Adam for all else; rates(name) -> (Muon's peak, Adam's peak)."""
        curve = lambda peak: optax.warmup_cosine_decay_schedule(0, peak, 60, steps, peak * 0.02)
        kind = lambda k, v: ('muon' if v.ndim == 2 and 'embed' not in k and 'aux' not in k else 'adam')
        kinds = {k: (kind(k, v), rates(k)[kind(k, v) == 'adam']) for k, v in w.items()}
        make = {'muon': lambda rate: optax.chain(optax.trace(0.95, nesterov=True), optax.stateless(lambda g, _: jax.tree.map(orthogonal, g)),
                                                 optax.add_decayed_weights(0.02), optax.scale_by_learning_rate(curve(rate))),
                'adam': lambda rate: optax.adamw(curve(rate), b2=0.98, weight_decay=0.01)}
        label = lambda k: f'{kinds[k][0]} {kinds[k][1]}'
        return optax.chain(optax.clip_by_global_norm(1.0), optax.multi_transform(
            {label(k): make[kinds[k][0]](kinds[k][1]) for k in kinds}, {k: label(k) for k in w}))

    return SimpleNamespace(loss=loss, eye=eye, see=see, optimiser=optimiser)


CRUTCHES = ('text', 'letter', 'right', 'name', 'judge', 'asked', 'answer', 'point')


def crutches():
    return {f'aux.{n}': np.ones(HIDDEN, np.float32) for n in ('name', 'judge', 'asked', 'answer')} | {'aux.verdict': np.zeros(HIDDEN, np.float32)}


def text_batches(tokenizer, texts, phases):
    batches = []
    for (_, _, length, size), part in zip(phases, texts):
        arrays = pack(tokenizer, part, length)
        order = np.random.default_rng(TEXT_SEED).permutation(len(arrays[0]))
        batches += [[a[order[j:j + size]] for a in arrays] for j in range(0, len(order) - size + 1, size)]
    return batches


def shown(names, log):
    return '  '.join(f'{n} {x:.3f}' for n, x in zip(names, np.mean(log[-50:], 0)))


def train(tokenizer, texts, say, most=None):
    """The language model, on text alone."""
    import jax, optax
    learn, batches = learner(tokenizer), text_batches(tokenizer, texts, PHASES)
    steps = len(batches)            # the learning rates follow the whole length, also where only `most` steps are made
    say(f'{steps} steps, {sum(b[0].size for b in batches):,} tokens')
    w = {k: jax.numpy.asarray(v) for k, v in (random_weights() | crutches()).items()}
    tx = learn.optimiser(w, steps, lambda name: (PEAK_MUON, PEAK_ADAM))
    state = tx.init(w)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(w, state, *batch):
        grad, parts = jax.grad(learn.loss, has_aux=True)(w, *batch)
        update, state = tx.update(grad, state, w)
        return optax.apply_updates(w, update), state, parts

    log = []
    for i, batch in enumerate(batches[:most]):
        w, state, parts = step(w, state, *batch)
        log.append(parts)
        if (i + 1) % 50 == 0 or i + 1 == steps:
            say(f'step {i + 1}/{steps}  ' + shown(CRUTCHES, log))
    return {k: np.asarray(v) for k, v in w.items() if not k.startswith('aux.')}


def looked(scenes):
    return np.concatenate([tiles(draw(s))[0] for s in scenes]), np.concatenate([scene_words(s) for s in scenes])


SEE = [f'{a} {b}' for a in ('shape', 'colour', 'place', 'count') for b in ('loss', 'right')]


def train_eye(tokenizer, weights, pictures, say):
    """The eye alone, against the words of the language model. Gives the weights of both, with the eye's crutches, as train_joint wants them."""
    import jax, jax.numpy as jnp, optax
    learn, rng = learner(tokenizer), np.random.default_rng(PICTURE_SEED)
    embed = weights['model.embed_tokens.weight']
    more = embed.mean(0) + rng.standard_normal((len(ADDED), HIDDEN)).astype(np.float32) * embed.std(0) * 0.5
    eye = random_eye(scale=0.5 * float(embed.std()))
    patch = 'model.vision_model.embeddings.patch_embedding.weight'
    w = weights | {'model.embed_tokens.weight': np.concatenate([embed, more.astype(np.float32)])} | {
        k: v.reshape(len(v), -1) if k == patch else v for k, v in eye.items()}
    w |= {f'aux.see{k}': np.ones(HIDDEN, np.float32) for k in range(4)}
    w = {k: jnp.asarray(v) for k, v in w.items()}
    own = [k for k in w if k in eye or k.startswith('aux.see')]

    def stream():                                               # tiles, EYE_TILES at a time
        have = [np.zeros((0, TILE, TILE, 3), np.uint8), np.zeros((0, TOKENS, 4), np.int32)]
        for _, scenes, _ in pictures:
            have = [np.concatenate(x) for x in zip(have, looked(scenes))]
            while len(have[0]) >= EYE_TILES:
                yield [x[:EYE_TILES] for x in have]
                have = [x[EYE_TILES:] for x in have]

    steps = sum(sum(h // TILE * (v // TILE) + 1 for h, v in (picture_size(s[0])[1] for s in scenes)) for _, scenes, _ in pictures) // EYE_TILES
    part, rest = {k: w[k] for k in own}, {k: v for k, v in w.items() if k not in own}
    tx = learn.optimiser(part, steps, lambda name: (PEAK_MUON, PEAK_ADAM))
    state = tx.init(part)

    @partial(jax.jit, donate_argnums=(0, 1))
    def look(part, state, rest, pixels, words):
        def loss(part):
            x = learn.see(part | rest, learn.eye(part, pixels), words)
            return x[::2].sum(), x
        grad, parts = jax.grad(loss, has_aux=True)(part)
        update, state = tx.update(grad, state, part)
        return optax.apply_updates(part, update), state, parts

    log = []
    for i, (pixels, words) in enumerate(stream()):
        part, state, parts = look(part, state, rest, pixels, words)
        log.append(parts)
        if (i + 1) % 100 == 0 or i + 1 == steps:
            say(f'eye {i + 1}/{steps}  ' + shown(SEE, log))
    return {k: np.asarray(part.get(k, v)) for k, v in w.items()}


def train_joint(tokenizer, weights, texts, pictures, say, turn):
    """Language model and eye together, on pictures and text."""
    import jax, jax.numpy as jnp, optax
    (most_steps, muon, adam, sight), eye = JOINT[turn], eye_shapes()
    learn, rng, patch = learner(tokenizer), np.random.default_rng(PICTURE_SEED + turn), 'model.vision_model.embeddings.patch_embedding.weight'
    w = {k: jnp.asarray(v) for k, v in ({f'aux.see{k}': np.ones(HIDDEN, np.float32) for k in range(4)} | weights | crutches()).items()}
    w[patch] = w[patch].reshape(V_HIDDEN, -1)
    arrays = pack(tokenizer, [t for t, _, _ in pictures], JOINT_LENGTH)
    arrays[2][(arrays[0] >= WORDS) & (arrays[0] != TURN_END)] = 0           # nobody need foretell the tokens of a picture
    order = rng.permutation(len(arrays[0]))
    both = text_batches(tokenizer, texts, JOINT_TEXTS)
    steps = min(most_steps, len(both), len(order) // JOINT_ROWS)
    batches = [[a[order[i * JOINT_ROWS:(i + 1) * JOINT_ROWS]] for a in arrays] for i in range(steps)]
    most = -(-max((b[0] == IMAGE).sum() for b in batches) // TOKENS // 4) * 4 + 4
    say(f'{steps} steps, {len(both)} batches of text, {len(order) // JOINT_ROWS} about pictures, up to {most} tiles each')
    tx = learn.optimiser(w, steps, lambda name: (sight, PEAK_ADAM * sight / 0.01) if name in eye or 'aux' in name else (muon, adam))
    state = tx.init(w)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(w, state, text, batch, pixels, words, places, wanted):
        def loss(w):
            features = learn.eye(w, pixels)
            a, x = learn.loss(w, *text)
            b, y = learn.loss(w, *batch, seen=(features, places, wanted))
            z = learn.see(w, features, words)
            return a + b + 0.3 * z[::2].sum(), jnp.concatenate([x, y, z])
        grad, parts = jax.grad(loss, has_aux=True)(w)
        update, state = tx.update(grad, state, w)
        return optax.apply_updates(w, update), state, parts

    log = []
    for i, (text, batch) in enumerate(zip(both, batches)):
        ids, doc = batch[0][:, :-1], batch[1][:, :-1]
        inside = ids == IMAGE
        places = np.full(ids.shape, -1, np.int32)
        places[inside] = np.arange(inside.sum())
        asked = list(dict.fromkeys(doc[inside].tolist()))
        pixels, words = looked([s for n in asked for s in pictures[n][1]])
        wanted, at = np.full(ids.shape, -1, np.int32), []
        for n in asked:                                         # image tokens that show what is asked for
            which, column, value = pictures[n][2]
            at += [(scene_words(s)[..., column] == value).ravel() & (k == which) for k, s in enumerate(pictures[n][1])]
        number = np.stack([np.cumsum(np.diff(d, prepend=d[0]) != 0) for d in doc])         # one question a document
        wanted[inside] = np.where(np.concatenate(at), number[inside], -1)
        if len(pixels) * TOKENS != inside.sum():
            raise SystemExit('pictures and their tokens do not agree')
        pixels = np.concatenate([pixels, np.zeros((most - len(pixels), TILE, TILE, 3), np.uint8)])
        words = np.concatenate([words, np.full((most - len(words), TOKENS, 4), -1, np.int32)])
        w, state, parts = step(w, state, text, batch, pixels, words, places, wanted)
        log.append(parts)
        if (i + 1) % 50 == 0 or i + 1 == steps:
            say(f'joint {i + 1}/{steps}  text: ' + shown(CRUTCHES, [x[:8] for x in log]))
            say('    pictures: ' + shown([*CRUTCHES, 'look', *SEE[1::2]], [[*x[8:17], *x[18::2]] for x in log[-50:]]))
    return {k: np.asarray(v).reshape(eye[k]) if k in eye else np.asarray(v) for k, v in w.items() if not k.startswith('aux.')}


# ------------------------------------------------------------------------------------------------ ONNX
class Graph:
    """What one ONNX file is built from."""
    def __init__(self, weights):
        self.weights, self.nodes, self.inits, self.constants, self.inputs, self.outputs = weights, [], [], {}, [], []

    def op(self, kind, inputs, name, output=None, **attributes):
        from onnx import helper
        output = output or f'{name}_output_0'
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def weight(self, name, array):
        from onnx import numpy_helper
        self.inits.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def const(self, v, dtype=np.int64):
        from onnx import numpy_helper
        v = np.asarray(v, dtype)
        key = (v.tobytes(), v.shape, v.dtype.str)
        if key not in self.constants:
            self.constants[key] = f'const_{len(self.constants)}'
            self.inits.append(numpy_helper.from_array(v, self.constants[key]))
        return self.constants[key]

    def f32(self, v):
        return self.const(v, np.float32)

    def linear(self, x, p, w):
        y = self.op('MatMul', [x, self.weight(w.replace('.weight', '.MatMul.weight'), self.weights[w].T)], f'{p}/MatMul')
        bias = w.replace('.weight', '.bias')
        return self.op('Add', [self.weight(bias, self.weights[bias]), y], f'{p}/Add') if bias in self.weights else y

    def model(self):
        from onnx import helper
        info = lambda all_: [helper.make_tensor_value_info(*x) for x in all_]
        graph = helper.make_graph(self.nodes, 'main_graph', info(self.inputs), info(self.outputs), self.inits)
        return helper.make_model(graph, producer_name='make_demo.py', ir_version=8, opset_imports=[helper.make_opsetid('', 17)])


GRAPHS = 'vision_encoder', 'embed_tokens', 'decoder_model_merged'


def build_onnx(weights):
    """The three graphs of an Idefics3 export, by name, as bytes."""
    return {n: build(weights).model().SerializeToString(deterministic=True) for n, build in zip(GRAPHS, (eye_graph, embed_graph, decoder_graph))}


def embed_graph(weights):
    from onnx import TensorProto as T
    g, name = Graph(weights), 'model.embed_tokens.weight'
    g.op('Gather', [g.weight(name, weights[name]), 'input_ids'], '/embed_tokens/Gather', 'inputs_embeds')
    g.inputs, g.outputs = [('input_ids', T.INT64, ['batch_size', 'sequence_length'])], [('inputs_embeds', T.FLOAT, ['batch_size', 'sequence_length', HIDDEN])]
    return g


def eye_graph(weights):
    """SigLIP, pixel shuffle and connector. Images that are zero throughout are padding and are dropped; a patch without any pixel under
    the mask is not looked at, and the places of the others are spread over the table as for a whole tile (transformers does so)."""
    from onnx import TensorProto as T
    g = Graph(weights)
    op, const, f32, d, G = g.op, g.const, g.f32, V_HIDDEN, SIDE
    v, e = 'model.vision_model.', '/vision_model/embeddings'
    images = op('Reshape', ['pixel_values', const([-1, 3, TILE, TILE])], f'{e}/images')
    blank = op('ReduceSum', [op('Cast', [op('Equal', [images, f32(0)], f'{e}/Equal')], f'{e}/Cast', to=T.INT64), const([1, 2, 3])], f'{e}/blank', keepdims=0)
    kept = op('Not', [op('Equal', [blank, const(3 * TILE * TILE)], f'{e}/padding')], f'{e}/kept')
    images = op('Compress', [images, kept], f'{e}/Compress', axis=0)
    mask = op('Cast', [op('Reshape', ['pixel_attention_mask', const([-1, G, PATCH, G, PATCH])], f'{e}/mask')], f'{e}/mask/Cast', to=T.FLOAT)
    mask = op('ReduceMax', [op('Compress', [mask, kept], f'{e}/mask/Compress', axis=0)], f'{e}/mask/ReduceMax', axes=[2, 4], keepdims=0)
    flat = op('Reshape', [op('Greater', [mask, f32(0)], f'{e}/mask/Greater'), const([-1, G * G])], f'{e}/mask/flat')

    def place(axis, p):                                 # of each patch along an axis: its share of the patches there, in steps of 1 / SIDE
        line = op('Gather', [mask, const(0)], f'{p}/line', axis=3 - axis)
        share = op('Div', [f32(np.arange(G)[None]), op('ReduceSum', [line, const([1])], f'{p}/count', keepdims=1)], f'{p}/share')
        share = op('Unsqueeze', [op('Min', [share, f32(1 - 1e-6)], f'{p}/Min'), const([2])], f'{p}/Unsqueeze')
        past = op('GreaterOrEqual', [share, f32(np.arange(1 / G, 1.0, 1 / G))], f'{p}/GreaterOrEqual')
        return op('ReduceSum', [op('Cast', [past], f'{p}/Cast', to=T.INT64), const([2])], f'{p}/bucket', keepdims=0)

    row = op('Mul', [op('Unsqueeze', [place(1, f'{e}/row'), const([2])], f'{e}/row/out'), const(G)], f'{e}/row/Mul')
    at = op('Add', [row, op('Unsqueeze', [place(2, f'{e}/col'), const([1])], f'{e}/col/out')], f'{e}/at')
    at = op('Where', [flat, op('Reshape', [at, const([-1, G * G])], f'{e}/at/flat'), const(0)], f'{e}/Where')
    hidden = op('Unsqueeze', [op('Where', [flat, f32(0), f32(-1e4)], f'{e}/bias'), const([1, 2])], f'{e}/bias/Unsqueeze')

    n = v + 'embeddings.patch_embedding'
    x = op('Conv', [images, g.weight(n + '.weight', weights[n + '.weight']), g.weight(n + '.bias', weights[n + '.bias'])], f'{e}/patch_embedding/Conv',
           strides=[PATCH, PATCH], kernel_shape=[PATCH, PATCH])
    x = op('Transpose', [op('Reshape', [x, const([0, d, G * G])], f'{e}/Reshape')], f'{e}/Transpose', perm=[0, 2, 1])
    n = v + 'embeddings.position_embedding.weight'
    x = op('Add', [x, op('Gather', [g.weight(n, weights[n]), at], f'{e}/position_embedding/Gather')], f'{e}/Add')
    norm = lambda x, p, n: op('LayerNormalization', [x, g.weight(n + '.weight', weights[n + '.weight']), g.weight(n + '.bias', weights[n + '.bias'])],
                              f'{p}/LayerNormalization', epsilon=V_EPS, axis=-1)
    for i in range(V_LAYERS):
        n, p = f'{v}encoder.layers.{i}.', f'/vision_model/encoder/layers.{i}'
        a = f'{p}/self_attn'
        h = norm(x, f'{p}/layer_norm1', n + 'layer_norm1')
        split = lambda c, perm: op('Transpose', [op('Reshape', [g.linear(h, f'{a}/{c}_proj', f'{n}self_attn.{c}_proj.weight'), const([0, 0, V_HEADS, d // V_HEADS])],
                                                    f'{a}/{c}/Reshape')], f'{a}/{c}/Transpose', perm=perm)
        score = op('Mul', [op('MatMul', [split('q', [0, 2, 1, 3]), split('k', [0, 2, 3, 1])], f'{a}/MatMul'), f32((d // V_HEADS) ** -0.5)], f'{a}/Mul')
        share = op('Softmax', [op('Add', [score, hidden], f'{a}/Add')], f'{a}/Softmax', axis=-1)
        y = op('Transpose', [op('MatMul', [share, split('v', [0, 2, 1, 3])], f'{a}/MatMul_1')], f'{a}/Transpose', perm=[0, 2, 1, 3])
        y = op('Reshape', [y, const([0, 0, d])], f'{a}/Reshape')
        x = op('Add', [x, g.linear(y, f'{a}/out_proj', n + 'self_attn.out_proj.weight')], f'{p}/Add')
        h = g.linear(norm(x, f'{p}/layer_norm2', n + 'layer_norm2'), f'{p}/mlp/fc1', n + 'mlp.fc1.weight')
        m = f'{p}/mlp/act_fn'                           # GELU, the form with tanh
        cube = op('Mul', [op('Mul', [h, h], f'{m}/Mul'), h], f'{m}/Mul_1')
        t = op('Add', [h, op('Mul', [cube, f32(0.044715)], f'{m}/Mul_2')], f'{m}/Add')
        t = op('Tanh', [op('Mul', [t, f32(math.sqrt(2 / math.pi))], f'{m}/Mul_3')], f'{m}/Tanh')
        h = op('Mul', [op('Mul', [h, f32(0.5)], f'{m}/Mul_4'), op('Add', [t, f32(1)], f'{m}/Add_1')], f'{m}/Mul_5')
        x = op('Add', [x, g.linear(h, f'{p}/mlp/fc2', n + 'mlp.fc2.weight')], f'{p}/Add_1')
    c, k = '/connector', G // SHUFFLE
    x = norm(x, '/vision_model/post_layernorm', v + 'post_layernorm')
    x = op('Transpose', [op('Reshape', [x, const([-1, k, SHUFFLE, k, SHUFFLE, d])], f'{c}/Reshape')], f'{c}/Transpose', perm=[0, 1, 3, 2, 4, 5])
    x = op('Reshape', [x, const([-1, TOKENS, d * SHUFFLE ** 2])], f'{c}/Reshape_1')
    op('MatMul', [x, g.weight(CONNECTOR.replace('.weight', '.MatMul.weight'), weights[CONNECTOR].T)], f'{c}/modality_projection/proj/MatMul', 'image_features')
    g.inputs = [('pixel_values', T.FLOAT, ['batch_size', 'num_images', 3, TILE, TILE]), ('pixel_attention_mask', T.BOOL, ['batch_size', 'num_images', TILE, TILE])]
    g.outputs = [('image_features', T.FLOAT, ['num_real_images', TOKENS, HIDDEN])]
    return g


def decoder_graph(weights):
    """The decomposed graph of an optimum export: mask and positions are inputs, the cache is concatenated in the graph."""
    from onnx import TensorProto as T
    g = Graph(weights)
    op, const, f32, weight, linear = g.op, g.const, g.f32, g.weight, g.linear

    def norm(x, p, w):
        square = op('ReduceMean', [op('Pow', [x, f32(2)], f'{p}/Pow')], f'{p}/ReduceMean', axes=[-1], keepdims=1)
        root = op('Sqrt', [op('Add', [square, f32(EPS)], f'{p}/Add')], f'{p}/Sqrt')
        return op('Mul', [op('Div', [x, root], f'{p}/Div'), weight(w, weights[w])], f'{p}/Mul')

    B, S, P, PS = 'batch_size', 'sequence_length', 'past_sequence_length', 'total_sequence_length'
    g.inputs = [('inputs_embeds', T.FLOAT, [B, S, HIDDEN]), ('attention_mask', T.INT64, [B, PS]), ('position_ids', T.INT64, [B, S])]
    g.outputs = [('logits', T.FLOAT, [B, S, VOCAB])]

    m = '/model/mask'                                   # [batch, 1, seq, past + seq]: 0 where a token may look, else the lowest float
    size = lambda x, axis, p: op('Gather', [op('Shape', [x], f'{p}/Shape'), const(axis)], f'{p}/Gather', axis=0)
    batch, seq, past = size('inputs_embeds', 0, f'{m}/batch'), size('inputs_embeds', 1, f'{m}/seq'), size('past_key_values.0.key', 2, f'{m}/past')
    total = op('Add', [past, seq], f'{m}/total')
    rows = op('Unsqueeze', [op('Range', [past, total, const(1)], f'{m}/rows'), const([1])], f'{m}/rows/Unsqueeze')
    cols = op('Unsqueeze', [op('Range', [const(0), total, const(1)], f'{m}/cols'), const([0])], f'{m}/cols/Unsqueeze')
    real = op('Unsqueeze', [op('Cast', ['attention_mask'], f'{m}/Cast', to=T.BOOL), const([1, 2])], f'{m}/Unsqueeze')
    seen = op('And', [op('LessOrEqual', [cols, rows], f'{m}/LessOrEqual'), real], f'{m}/And')
    mask = op('Where', [seen, f32(0), f32(np.finfo(np.float32).min)], f'{m}/Where')

    r = '/model/rotary_emb'                             # [batch, 1, seq, head_dim]
    inverse = (1.0 / THETA ** (np.arange(0, HEAD_DIM, 2, dtype=np.float32) / HEAD_DIM)).astype(np.float32)
    place = op('Unsqueeze', [op('Cast', ['position_ids'], f'{r}/Cast', to=T.FLOAT), const([1, 3])], f'{r}/Unsqueeze')
    angle = op('Mul', [place, f32(np.concatenate([inverse, inverse]))], f'{r}/Mul')
    cos, sin = op('Cos', [angle], f'{r}/Cos'), op('Sin', [angle], f'{r}/Sin')

    def rotate(x, p):
        a = op('Slice', [x, const([0]), const([HEAD_DIM // 2]), const([3])], f'{p}/Slice')
        b = op('Slice', [x, const([HEAD_DIM // 2]), const([HEAD_DIM]), const([3])], f'{p}/Slice_1')
        half = op('Concat', [op('Neg', [b], f'{p}/Neg'), a], f'{p}/Concat', axis=-1)
        return op('Add', [op('Mul', [x, cos], f'{p}/Mul'), op('Mul', [half, sin], f'{p}/Mul_1')], f'{p}/Add')

    def split(x, n, p):
        return op('Transpose', [op('Reshape', [x, const([0, 0, n, HEAD_DIM])], f'{p}/Reshape')], f'{p}/Transpose', perm=[0, 2, 1, 3])

    one = lambda x, p: op('Unsqueeze', [x, const([0])], p)
    spread = op('Concat', [one(batch, f'{m}/b1'), const([KV_HEADS, HEADS // KV_HEADS]), one(total, f'{m}/t1'), const([HEAD_DIM])], f'{m}/spread', axis=0)

    def repeat(x, p):                                   # one cached head serves HEADS / KV_HEADS query heads
        x = op('Expand', [op('Unsqueeze', [x, const([2])], f'{p}/Unsqueeze'), spread], f'{p}/Expand')
        return op('Reshape', [x, const([0, HEADS, -1, HEAD_DIM])], f'{p}/Reshape')

    x = 'inputs_embeds'
    for i in range(LAYERS):
        p, w = f'/model/layers.{i}', f'model.layers.{i}.'
        pk, pv, ok, ov = (f'{side}.{i}.{what}' for side in ('past_key_values', 'present') for what in ('key', 'value'))
        g.inputs += [(n, T.FLOAT, [B, KV_HEADS, P, HEAD_DIM]) for n in (pk, pv)]
        g.outputs += [(n, T.FLOAT, [B, KV_HEADS, PS, HEAD_DIM]) for n in (ok, ov)]
        a = f'{p}/self_attn'
        h = norm(x, f'{p}/input_layernorm', w + 'input_layernorm.weight')
        q = rotate(split(linear(h, f'{a}/q_proj', w + 'self_attn.q_proj.weight'), HEADS, f'{a}/q'), f'{a}/q')
        k = rotate(split(linear(h, f'{a}/k_proj', w + 'self_attn.k_proj.weight'), KV_HEADS, f'{a}/k'), f'{a}/k')
        v = split(linear(h, f'{a}/v_proj', w + 'self_attn.v_proj.weight'), KV_HEADS, f'{a}/v')
        ck, cv = op('Concat', [pk, k], f'{a}/key/Concat', ok, axis=2), op('Concat', [pv, v], f'{a}/value/Concat', ov, axis=2)
        kt = op('Transpose', [repeat(ck, f'{a}/key')], f'{a}/key/Transpose', perm=[0, 1, 3, 2])
        score = op('Mul', [op('MatMul', [q, kt], f'{a}/MatMul'), f32(HEAD_DIM ** -0.5)], f'{a}/Mul')
        share = op('Softmax', [op('Add', [score, mask], f'{a}/Add')], f'{a}/Softmax', axis=-1)
        y = op('Transpose', [op('MatMul', [share, repeat(cv, f'{a}/value')], f'{a}/MatMul_1')], f'{a}/Transpose', perm=[0, 2, 1, 3])
        y = op('Reshape', [y, const([0, 0, HEADS * HEAD_DIM])], f'{a}/Reshape')
        x = op('Add', [x, linear(y, f'{a}/o_proj', w + 'self_attn.o_proj.weight')], f'{p}/Add')
        h = norm(x, f'{p}/post_attention_layernorm', w + 'post_attention_layernorm.weight')
        gate = linear(h, f'{p}/mlp/gate_proj', w + 'mlp.gate_proj.weight')
        gate = op('Mul', [gate, op('Sigmoid', [gate], f'{p}/mlp/act_fn/Sigmoid')], f'{p}/mlp/act_fn/Mul')
        h = op('Mul', [gate, linear(h, f'{p}/mlp/up_proj', w + 'mlp.up_proj.weight')], f'{p}/mlp/Mul')
        x = op('Add', [x, linear(h, f'{p}/mlp/down_proj', w + 'mlp.down_proj.weight')], f'{p}/Add_1')
    x = norm(x, '/model/norm', 'model.norm.weight')
    op('MatMul', [x, weight('lm_head.MatMul.weight', weights['model.embed_tokens.weight'].T)], '/lm_head/MatMul', 'logits')   # tied
    return g


def onnx_weights(folder):
    """The weights of our own ONNX files under their names in transformers."""
    import onnx
    from onnx import numpy_helper
    found = {t.name: numpy_helper.to_array(t) for g in GRAPHS for t in onnx.load(f'{folder}/{g}.onnx').graph.initializer}
    return {n: found[n] if n in found else np.ascontiguousarray(found[n.replace('.weight', '.MatMul.weight')].T) for n in shapes(VOCAB) | eye_shapes()}


def write_safetensors(path, weights):
    head, at = {'__metadata__': {'format': 'pt'}}, 0
    for name, w in weights.items():
        head[name] = {'dtype': 'F32', 'shape': list(w.shape), 'data_offsets': [at, at + w.nbytes]}
        at += w.nbytes
    head = json.dumps(head, separators=(',', ':')).encode()
    head += b' ' * (-len(head) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(head)) + head)
        for w in weights.values():
            f.write(np.ascontiguousarray(w))


# ------------------------------------------------------------------------------------------------ scoring and report
class Scorer:
    def __init__(self, tokenizer, graphs):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        self.eye, self.embed, self.decoder = (ort.InferenceSession(g, options, providers=['CPUExecutionProvider']) for g in graphs)
        self.tokenizer = tokenizer

    def logits(self, ids, features=None):
        ids = np.array([ids], np.int64)
        x = self.embed.run(None, {'input_ids': ids})[0]
        if features is not None:
            x[ids == IMAGE] = features.reshape(-1, HIDDEN)
        feed = {'inputs_embeds': x, 'attention_mask': np.ones_like(ids), 'position_ids': np.arange(ids.shape[1])[None]}
        feed |= {f'past_key_values.{i}.{k}': np.zeros((1, KV_HEADS, 0, HEAD_DIM), np.float32) for i in range(LAYERS) for k in ('key', 'value')}
        return self.decoder.run(['logits'], feed)[0][0]

    def log_softmax(self, ids):
        x = self.logits(ids).astype(np.float64)
        x -= x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    def look(self, images):
        """Image features of pictures, and the rows and columns of each."""
        cut = [tiles(im) for im in images]
        table = ((np.arange(256) * RESCALE).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
        pixels = table[np.concatenate([c[0] for c in cut])].transpose(0, 3, 1, 2)[None]
        mask = np.ones((1, pixels.shape[1], TILE, TILE), bool)
        return self.eye.run(None, {'pixel_values': pixels, 'pixel_attention_mask': mask})[0], [c[1:] for c in cut]

    def asked(self, row, options, images):
        """Logits of the options' letters after the prompt; and the greedy reply, as text."""
        features, grids = self.look(images)
        ids = self.tokenizer.encode(expanded(picture_prompt(row['question'], options), grids), add_special_tokens=False).ids
        reply, letters = [], None
        while len(reply) < 4 and (not reply or reply[-1] not in (2, TURN_END)):
            last = self.logits(ids + reply, features)[-1]
            if letters is None:
                letters = [float(last[self.tokenizer.token_to_id('Ġ' + c)]) for c in 'ABCDE'[:len(options)]]
            reply.append(int(last.argmax()))
        return letters, self.tokenizer.decode(reply, skip_special_tokens=False), len(ids)

    def score(self, context, continuations):
        """Summed log-likelihood of each continuation, and the number of context tokens; lm-eval's _encode_pair."""
        encode = lambda t: self.tokenizer.encode(t, add_special_tokens=False).ids
        bare = context.rstrip()
        tail, ctx, runs, out = context[len(bare):], encode(bare), {}, []
        for c in continuations:
            whole = encode(bare + tail + c)
            cont = whole[len(ctx):]
            ids = tuple((ctx + cont)[-(WINDOW + 1):][:-1])
            if ids not in runs:
                runs[ids] = self.log_softmax(ids)
            out.append(float(sum(runs[ids][len(ids) - len(cont) + j, t] for j, t in enumerate(cont))))
        return out, len(ctx)


def argmax(values):
    return max(range(len(values)), key=values.__getitem__)             # the first wins a tie


def evaluate(scorer, rows, shuffled=False, cloze=False, swapped=False):
    """[(task, shots, index, group, lls, context tokens, gold, {metric: 0 or 1})]"""
    from PIL import Image
    rng, out = random.Random(SHUFFLE_SEED), []

    def order():
        o = list(range(4))
        if shuffled:
            rng.shuffle(o)
        return o

    for i, r in enumerate(rows['hellaswag/validation']):
        o = order()
        query, endings = hellaswag_pair({**r, 'endings': [r['endings'][j] for j in o]})
        lls, n = scorer.score(query, [' ' + e for e in endings])
        gold = o.index(int(r['label']))
        out.append(('hellaswag', 0, i, r['source_id'].split('~')[0], lls, n, gold, {
            'acc': argmax(lls) == gold, 'acc_norm': argmax([x / len(e) for x, e in zip(lls, endings)]) == gold}))
    for shots in (0, 5):
        for i, r in enumerate(rows['mmlu/test']):
            o = order()
            row = {**r, 'choices': [r['choices'][j] for j in o], 'answer': o.index(r['answer'])}
            dev = [d for d in rows['mmlu/dev'] if d['subject'] == r['subject']][:shots]
            lls, n = scorer.score(mmlu_prompt(row, dev), [' A', ' B', ' C', ' D'])
            out.append(('mmlu', shots, i, r['subject'], lls, n, row['answer'], {'acc': argmax(lls) == row['answer']}))
    pictures = [[Image.open(io.BytesIO(base64.b64decode(r[f'image_{i}']['bytes']))) for i in range(1, 8) if r[f'image_{i}']] for r in rows['mmmu_pro/test']]
    for i, r in enumerate(rows['mmmu_pro/test']):
        o, options, images = order(), ast.literal_eval(r['options']), pictures[i]
        if swapped:                                             # those of the next row of the subject that has as many
            alike = [j for j, x in enumerate(rows['mmmu_pro/test']) if x['subject'] == r['subject'] and len(pictures[j]) == len(images)]
            images = pictures[alike[(alike.index(i) + 1) % len(alike)]]
        letters, reply, n = scorer.asked(r, [options[j] for j in o], images)
        gold = o.index('ABCD'.index(r['answer']))
        out.append(('mmmu_pro', 0, i, r['subject'], letters, n, gold, {'acc': argmax(letters) == gold, 'reply': reply == f' {"ABCD"[gold]}<end_of_utterance>',
                                                                       'form': bool(re.fullmatch(' [A-D]<end_of_utterance>', reply))}))
    if cloze:
        for i, r in enumerate(rows['mmlu/test']):
            prompt = f"The following are questions (with answers) about {r['subject'].replace('_', ' ')}.\n\nQuestion: {r['question'].strip()}\nAnswer:"
            lls, n = scorer.score(prompt, [' ' + c for c in r['choices']])
            out.append(('mmlu_continuation', 0, i, r['subject'], lls, n, r['answer'], {
                'acc': argmax(lls) == r['answer'], 'acc_norm': argmax([x / len(c) for x, c in zip(lls, r['choices'])]) == r['answer']}))
        for i, r in enumerate(rows['mmlu/test']):
            prompt = (f"<|im_start|>System: {mmlu_description(r['subject'])}<end_of_utterance>\nUser: {mmlu_question(r['question'], r['choices'])}"
                      '<end_of_utterance>\nAssistant:')
            lls, n = scorer.score(prompt, list('ABCD'))
            out.append(('mmlu, chat template', 0, i, r['subject'], lls, n, r['answer'], {'acc': argmax(lls) == r['answer']}))
    return out


def summary(results, task, shots, metric, group=None):
    hits = [r[7][metric] for r in results if r[:2] == (task, shots) and group in (None, r[3])]
    mean = sum(hits) / len(hits)
    return f'{100 * mean:.1f} ± {100 * math.sqrt(mean * (1 - mean) / (len(hits) - 1)):.1f}', len(hits)


def aligned(lines):
    """The Markdown lines with the cells of each table padded to one width."""
    out, table = [], []
    for line in [*lines, '']:
        if line.startswith('|'):
            table.append([c.strip() for c in line.strip('|').split('|')])
            continue
        widths = [max(map(len, column)) for column in zip(*table)]
        out += ['| ' + ' | '.join(('-' * n if c == '---' else c.ljust(n)) for c, n in zip(r, widths)) + ' |' for r in table]
        table = []
        out.append(line)
    return '\n'.join(out[:-1])


def report(out, lls=None):
    """The honesty report: the checkpoint, an untrained copy, the checkpoint with the options shuffled, and with other rows' pictures. Markdown."""
    from tokenizers import Tokenizer
    rows, tokenizer = read_rows(out), Tokenizer.from_file(f'{out}/checkpoint/tokenizer.json')
    trained = Scorer(tokenizer, [f'{out}/checkpoint/onnx/{g}.onnx' for g in GRAPHS])
    a = evaluate(trained, rows, cloze=True)
    b = evaluate(Scorer(tokenizer, build_onnx(noise_weights()).values()), rows)
    c = evaluate(trained, rows, shuffled=True)
    d = evaluate(trained, {**rows, 'hellaswag/validation': [], 'mmlu/test': []}, swapped=True)
    if lls:
        with open(lls, 'w', encoding='utf-8') as f:
            f.writelines(json.dumps({'task': t, 'shots': s, 'index': i, 'group': g, 'gold': gold, 'loglikelihoods': x, 'context_tokens': n}) + '\n'
                         for t, s, i, g, x, n, gold, _ in a)
    lines = ['| task | metric | n | (a) checkpoint | (b) untrained copy | (c) options shuffled | (d) pictures swapped |', '|---|---|---|---|---|---|---|']
    for task, shots, metric in (('hellaswag', 0, 'acc'), ('hellaswag', 0, 'acc_norm'), ('mmlu', 0, 'acc'), ('mmlu', 5, 'acc'), ('mmmu_pro', 0, 'acc')):
        cells = [summary(x, task, shots, metric) for x in (a, b, c, *([d] if task == 'mmmu_pro' else []))]
        lines.append(f'| {task}, {shots}-shot | {metric} | {cells[0][1]} | ' + ' | '.join(t for t, _ in cells) + (' |' if len(cells) > 3 else ' | |'))
    lines += ['', 'Percent ± standard error; chance is 25. Checkpoint (a) in parts:', '', '| part | n | 0-shot | 5-shot | cloze, acc | chat template |', '|---|---|---|---|---|---|']
    for s in SUBJECTS:
        cells = [summary(a, *k, s) for k in (('mmlu', 0, 'acc'), ('mmlu', 5, 'acc'), ('mmlu_continuation', 0, 'acc'), ('mmlu, chat template', 0, 'acc'))]
        lines.append(f'| mmlu {s} | {cells[0][1]} | ' + ' | '.join(t for t, _ in cells) + ' |')
    for s in ('activitynet', 'wikihow'):
        text, n = summary(a, 'hellaswag', 0, 'acc_norm', s)
        lines.append(f'| hellaswag {s} rows, acc_norm | {n} | {text} | | | |')
    for s in VIEWED:
        text, n = summary(a, 'mmmu_pro', 0, 'acc', s)
        lines.append(f'| mmmu_pro {s} | {n} | {text} | | | |')
    seen = [r for r in a if r[0] == 'mmmu_pro']
    lines += ['', f"Longest MMLU prompt: {max(r[5] for r in a if r[:2] == ('mmlu', 5))} tokens with 5 shots, {max(r[5] for r in a if r[:2] == ('mmlu', 0))} with none; "
              f"longest about pictures: {max(r[5] for r in seen)}.", f"Of {len(seen)} greedy replies about pictures {sum(r[7]['form'] for r in seen)} are a blank, a letter and "
              f"`<end_of_utterance>`, {sum(r[7]['reply'] for r in seen)} with the right letter."]
    return aligned(lines)


README = """# The embedded demo

A tiny vision-language model of the Idefics3 / SmolVLM family (@PARAMETERS@ million parameters, ONNX fp32) with its tokenizer, and 200 + 200 + 160 toy
rows in the schemas of MMLU (`cais/mmlu`), HellaSwag (`Rowan/hellaswag`) and MMMU-Pro (`MMMU/MMMU_Pro`, "standard (4 options)"). It shows that
loading, prompting, scoring and reporting work, on any machine and without a download. **It is no benchmark**: the rows tell of an invented
world and of pictures drawn by a script, the model was trained on text about that same world and on pictures by that same script, in the
prompts' own forms, and its scores say nothing about any other model. The subject names are real ones of MMLU and MMMU, their contents are not.

`make_demo.py` makes every file here from fixed seeds (its head names the versions); text, pictures and training of this checkpoint took @MINUTES@
minutes on two CPU cores shared with others. In training the model was told, beside the text, which choice of each question is right and what
each token of a picture shows, by losses on inner layers that are explained in the script and leave nothing in the checkpoint. Training
material and rows are drawn with different seeds. A quarter or so of the world's facts, and some activities and how-to topics, are withheld
from the training text, so the scores stay below 100; a row that asks for something withheld can only be guessed. No MMLU row is in the
training text with the same four choices; HellaSwag contexts and right endings of told activities can be, wrong endings are not. No picture of
the MMMU-Pro rows was trained on; their shapes, colours and question forms were.

## Honesty report

`python make_demo.py --report` prints this again (onnxruntime, tokenizers and Pillow in Python; for MMLU and HellaSwag lm-evaluation-harness's
default recipes in code of its own, for MMMU-Pro the largest of the options' letters, with the blank before it, after `Assistant:`).
(b) is the same graphs with random weights: it must lie near chance. (c) is the checkpoint with each row's options in another order: it must
lie near (a); HellaSwag cannot change at all, as each ending is scored by itself. (d) is the checkpoint with each row asked about the pictures
of another row of its subject: it must lie near chance, else the pictures are not needed.

@REPORT@

The column "cloze" is lm-eval's `mmlu_continuation`, "chat template" its default task under `apply_chat_template` (system and user turns).

## Licence

All text and pictures are invented by the script; script, rows and checkpoint are under Apache-2.0. No other model's or data set's text,
pictures or weights are in them.
"""


# ------------------------------------------------------------------------------------------------ program
def write_graphs(out, weights, say):
    for name, data in build_onnx(weights).items():
        with open(f'{out}/checkpoint/onnx/{name}.onnx', 'wb') as f:
            f.write(data)
        say(f'{name}.onnx {len(data):,} bytes')
    say(f'{sum(w.size for w in weights.values()):,} parameters')


def write_text_model(out, folder):
    """The language model by itself, as a LlamaForCausalLM with its tokenizer."""
    os.makedirs(folder, exist_ok=True)
    for name in ('tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json'):
        shutil.copy(f'{out}/checkpoint/{name}', folder)
    write_json(f'{folder}/config.json', {'architectures': ['LlamaForCausalLM'], **llama_config(VOCAB), 'use_cache': True})
    weights = onnx_weights(f'{out}/checkpoint/onnx')
    write_safetensors(f'{folder}/model.safetensors', {n: weights[n] for n in shapes(VOCAB)})


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--out', default=HERE)
    p.add_argument('--report', action='store_true')
    p.add_argument('--rows-only', action='store_true')
    p.add_argument('--steps', type=int, metavar='N')
    p.add_argument('--safetensors', metavar='FOLDER')
    p.add_argument('--lls', metavar='FILE', help='with the report: per-row summed log-likelihoods as JSON lines')
    args = p.parse_args()
    began = time.time()
    say = lambda text: print(f'{time.time() - began:6.1f} s  {text}', flush=True)
    out = args.out
    if args.safetensors:
        write_text_model(out, args.safetensors)
        return
    if not args.report:
        rows = make_rows()
        write_rows(out, rows)
        if args.rows_only:
            return
        texts = make_texts(rows)
        say(f'{sum(map(len, texts)):,} documents, {sum(len(t) for part in texts for t in part):,} characters')
        tokenizer = make_tokenizer(out, [t for part in texts for t in part[::10]])
        if args.steps:
            weights = train(tokenizer, texts, say, args.steps)
            print(args.steps, 'steps, sha256', hashlib.sha256(b''.join(np.ascontiguousarray(weights[n]).tobytes() for n in shapes())).hexdigest())
            return
        write_config(out)
        weights = train(tokenizer, texts, say)
        pictures = make_picture_texts(rows)
        weights = train_eye(tokenizer, weights, pictures, say)
        for turn in range(len(JOINT)):
            weights = train_joint(tokenizer, weights, make_texts(rows, PICTURE_SEED + turn, JOINT_TEXTS), pictures, say, turn)
        write_graphs(out, weights, say)
    minutes = (time.time() - began) / 60
    text = report(out, args.lls)
    print(text)
    if not args.report:
        with open(f'{out}/README.md', 'w', encoding='utf-8') as f:
            f.write(README.replace('@REPORT@', text).replace('@MINUTES@', f'{minutes:.1f}').replace('@PARAMETERS@', f'{sum(w.size for w in weights.values()) / 1e6:.1f}'))


if __name__ == '__main__':
    main()
