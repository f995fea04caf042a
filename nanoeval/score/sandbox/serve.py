"""The process of the program: loads it, then answers calls of its functions until nobody asks any more. It is never told what
would be right. (wire.py stands in front of this text.)"""


def copied_back(before, values):
    """Arguments that the call changed in place, as pairs of place and value."""
    return [[i, now] for i, now in enumerate(map(pack, values)) if now != before[i]]


def serve(uid, limits):
    source, target = entered(uid, limits)
    say(target, {"ready": True})
    names = {}
    try:
        exec(compile(json.loads(source.readline())["program"], "<program>", "exec"), names)
    except BaseException as error:
        say(target, {"raised": described(error)})
        return
    say(target, {"loaded": True})
    for line in source:
        call = json.loads(line)
        args, named = [unpack(one) for one in call["args"]], {key: unpack(one) for key, one in call["named"].items()}
        try:
            if call["name"] not in names:
                raise NameError(f"name '{call['name']}' is not defined")
            answer = {"value": pack(names[call["name"]](*args, **named)), "changed": copied_back(call["args"], args)}
        except BaseException as error:
            answer = {"raised": described(error)}
        say(target, answer)


serve(int(sys.argv[1]), json.loads(sys.argv[2]))
