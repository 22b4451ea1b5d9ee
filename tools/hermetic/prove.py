"""Shows that a build depends on nothing but the checkout, the folder of packages and the compiler.

    python3.11 tools/offline/fill.py /big/folder
    python3.11 tools/hermetic/prove.py /big/folder --scratch /big/scratch

Three builds of copies of this checkout, each in a folder, a home and an output root of its own:

1. without a network, from the folder of packages alone: it builds, and its tests pass;
2. on a machine full of other CUDAs, torches and compilers' variables, in another folder, with the
   first one's disk cache: the same actions, every one found in the cache, and none of them names a
   place of this machine;
3. as the second but without the cache: the same bytes.

It takes as long as two builds and three unpackings of torch. Standard library only.
"""

import argparse
import os
import pathlib
import shutil
import sys
import time

import poison
from build import Actions, Build, Checkout, ProofError

_TARGETS = ["//:package", "//:wheel", "//csrc/libtorch_unstable:_C.so"]
_TARGETS += ["//tests/bindings/...", "//tests/build/..."]
# The compiler and its C library, and what every Linux has.
_MACHINE = ("/usr", "/bin", "/lib", "/lib64", "/proc/self", "/dev/null")


def say(text: str) -> None:
    print(f"prove: {text}", flush=True)


def compare_actions(first: Actions, second: Actions) -> None:
    """Raises ProofError unless both are the same actions."""
    one, two = first.keys(), second.keys()
    differing = sorted({mnemonic for mnemonic, _ in (one - two) + (two - one)})
    if differing:
        count = (one - two).total()
        raise ProofError(f"{count} of {one.total()} actions differ: {', '.join(differing)}")
    if not one:
        raise ProofError("no actions were found")


def compare_outputs(first: Build, second: Build) -> int:
    """Returns how many outputs are the same bytes; raises ProofError if any is not."""
    names = {
        name
        for build in (first, second)
        for name in build.outputs
        # Of a test, the outputs are logs with times in them.
        if "/testlogs/" not in name
    }
    differing = sorted(n for n in names if first.outputs.get(n) != second.outputs.get(n))
    if differing:
        raise ProofError(f"{len(differing)} outputs differ: {', '.join(differing)}")
    if not names or not all(first.outputs[name] for name in names):
        raise ProofError("no outputs with digests were found")
    return len(names)


def _prove(options: argparse.Namespace, scratch: pathlib.Path) -> None:
    targets = options.targets
    offline = {"STABLEKV_OFFLINE": str(options.packages.resolve())}
    cache = f"--disk_cache={options.cache or scratch / 'cache'}"
    bazel = scratch / "bazel"

    one = Checkout(scratch / "one", bazel, offline, network=False)
    first = one.test(targets, cache)
    say(f"1. no network: {first.executed} actions ran, {first.hits} were cached; tests passed")

    # A longer path, so that a path in an output would change its size too.
    place = scratch / "another/folder/two"
    variables = poison.plant(scratch / "poison", place / "home")
    two = Checkout(place, bazel, variables | offline, network=False)
    second = two.test(targets, cache)
    if second.executed:
        raise ProofError(f"the second checkout ran {second.executed} actions: {second.runners}")
    say(f"2. another folder, a poisoned machine, the same cache: {second.hits} hits, 0 actions ran")
    actions = two.actions(targets)
    compare_actions(one.actions(targets), actions)
    say(f"   the same {actions.keys().total()} actions by their keys")
    places = actions.absolute_paths(_MACHINE)
    if places:
        raise ProofError("actions name places of this machine:\n" + "\n".join(places))
    say("   and none names a place of this machine")

    if not options.no_rebuild:
        three = Checkout(scratch / "three", bazel, variables | offline, network=False)
        third = three.test(targets)
        count = compare_outputs(first, third)
        say(f"3. without a cache: {third.executed} actions ran; {count} outputs, the same bytes")
    came = poison.marks(scratch / "poison")
    if came:
        raise ProofError(f"these of the poisoned machine were run or imported: {', '.join(came)}")
    say("   nothing of the poisoned machine was run or imported")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packages", type=pathlib.Path, help="filled by tools/offline/fill.py")
    parser.add_argument("targets", nargs="*", default=_TARGETS, help="some tests among them")
    parser.add_argument("--scratch", type=pathlib.Path, default="/var/tmp/stablekv-prove")
    parser.add_argument("--cache", type=pathlib.Path, help="a disk cache to begin with; not clean")
    parser.add_argument("--keep", action="store_true", help="leave the scratch folder")
    parser.add_argument("--no_rebuild", action="store_true", help="leave the third build out")
    options = parser.parse_args()
    scratch = options.scratch.resolve()
    if scratch.exists():
        parser.error(f"{scratch} is there already: remove it, or name another --scratch")
    start = time.monotonic()
    try:
        _prove(options, scratch)
    except ProofError as error:
        say(f"NOT PROVED: {error}")
        return 1
    finally:
        if not options.keep:
            # Bazel makes its folders read-only.
            for folder, _, _ in os.walk(scratch):
                os.chmod(folder, 0o755)
            shutil.rmtree(scratch, ignore_errors=True)
    say(f"proved in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
