"""The process of the test: runs the words that the program was asked to complete (for their imports and helpers) and the test,
whose candidate calls the process of the program. Nothing of the program is run here. (wire.py stands in front of this text.)"""
import builtins


class Gone(BaseException):
    """The process of the program ended."""


class Judge:
    def __init__(self, source, target):
        self.source, self.target, self.gone = source, target, False

    def answer(self):
        """The next answer of the program's process. Raises what the program raised, or a built-in exception like it."""
        line = self.source.readline()
        if not line.endswith("\n"):
            self.gone = True
            raise Gone()
        answer = json.loads(line)
        if "raised" in answer:
            name, message, place = map(str, answer["raised"])
            kind = getattr(builtins, name, None)
            known = isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError)
            error = (kind if known else RuntimeError)(message)
            error.of_program = [name, message, place]
            raise error
        return answer

    def candidate(self, name):
        def call(*args, **named):
            sent = {key: pack(one) for key, one in named.items()}
            say(self.target, {"name": name, "args": [pack(one) for one in args], "named": sent})
            answer = self.answer()
            for place, value in answer.get("changed", []):
                put_back(args[place], unpack(value))
            return unpack(answer["value"])

        call.__name__ = name
        return call


def put_back(old, new):
    """What a call did to a list, set or dict that it was given."""
    if type(old) is not type(new):
        return
    if isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, (set, dict, collections.deque)):
        old.clear()
        (old.extend if isinstance(old, collections.deque) else old.update)(new)


def prepared(task):
    """What the test sees besides the candidate, and the test itself. Raises where the row's own texts are no Python."""
    names = {}
    exec(compile(task["prompt"], "<prompt>", "exec"), names)
    return names, compile(task["test"], "<test>", "exec")


def judge_program(judge, names, test, name):
    say(judge.target, {"begun": True})
    judge.answer()
    names[name] = candidate = judge.candidate(name)
    exec(test, names)
    names["check"](candidate)


def run(uid, limits):
    source, target = entered(uid, limits)
    say(target, {"ready": True})
    task = json.loads(source.readline())
    judge, verdict = Judge(source, target), {"nonce": task["nonce"]}
    try:
        names, test = prepared(task)
    except BaseException as error:
        say(target, {**verdict, "broken": described(error)})
        return
    try:
        judge_program(judge, names, test, task["entry_point"])
        failed = None
    except BaseException as error:
        failed = getattr(error, "of_program", None) or described(error)
    if judge.gone:
        say(target, {**verdict, "gone": True})
    else:
        say(target, {**verdict, "passed": True} if failed is None else {**verdict, "failed": failed})


run(int(sys.argv[1]), json.loads(sys.argv[2]))
