"""Finds the machine's CPython 3.11."""

PYTHON_VERSION = "3.11"

def look_for_python(repository_ctx):
    """Looks for CPython 3.11.

    Args:
      repository_ctx: of a repository rule that lists STABLEKV_PYTHON in its `environ`.

    Returns:
      The interpreter's real path as a string, or None, and else why there is none; a version
      manager's shim is looked through.
    """
    asked = repository_ctx.os.environ.get("STABLEKV_PYTHON")
    names = [asked] if asked else ["python" + PYTHON_VERSION, "python3"]
    seen = []
    for name in names:
        found = name if "/" in name else repository_ctx.which(name)
        if not found:
            seen.append("%s: not found" % name)
            continue
        result = repository_ctx.execute([
            found,
            # Not the caller's PYTHONPATH, nor the user's packages.
            "-I",
            "-c",
            "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)",
        ])
        if result.return_code != 0:
            seen.append("%s: %s" % (found, result.stderr.strip()))
            continue
        version, executable = result.stdout.strip().split(" ", 1)
        if version == PYTHON_VERSION:
            return str(repository_ctx.path(executable).realpath), None
        seen.append("%s: Python %s" % (found, version))
    return None, "stablekv needs CPython %s (its package locks are for it). Looked at: %s. " % (
        PYTHON_VERSION,
        "; ".join(seen),
    ) + "Install python%s or set STABLEKV_PYTHON to its path." % PYTHON_VERSION

def find_python(repository_ctx):
    """Returns the real path of CPython 3.11, or fails saying what was looked for.

    Args:
      repository_ctx: of a repository rule that lists STABLEKV_PYTHON in its `environ`.

    Returns:
      The interpreter's path as a string.
    """
    python, why = look_for_python(repository_ctx)
    if why:
        fail(why)
    return python
