"""What the rules that fetch a lock say when that failed."""

def fail_fetch(repository_ctx, what):
    """Fails, and says what index the lock needs where it is not the default one.

    Args:
      repository_ctx: of a repository rule with a `lock`.
      what: could not be fetched, "packages".
    """
    lock = repository_ctx.read(repository_ctx.path(repository_ctx.attr.lock))
    local = [line.split(" ")[0] for line in lock.split("\n") if "+" in line.split(" ")[0]]
    hint = " The default index does not carry %s: pip must reach an index that does, " % local[0] + \
           "as an extra index or a mirror (docs/hermeticity.md)." if local else ""
    fail("%s: could not fetch the %s of %s; why is said above.%s" % (
        repository_ctx.name,
        what,
        repository_ctx.attr.lock,
        hint,
    ))
