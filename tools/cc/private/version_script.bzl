"""A linker script that says which symbols a shared library exports."""

def _is_symbol(name):
    plain = name.replace("_", "a").replace("*", "a").replace("?", "a")
    return plain.isalnum() and not name[0].isdigit()

def _version_script_impl(ctx):
    for name in ctx.attr.exports:
        if not name or not _is_symbol(name):
            fail("%s: exports: %r is no symbol: wanted its name in the file, without parameters; " % (
                ctx.label,
                name,
            ) + "* and ? stand for others.")
    if not ctx.attr.exports:
        fail("%s: exports: empty. A library that exports nothing on purpose leaves it out." % ctx.label)
    script = ctx.actions.declare_file(ctx.label.name + ".lds")
    names = ["  global: %s;" % name for name in ctx.attr.exports]
    ctx.actions.write(script, "\n".join(["{"] + names + ["  local: *;", "};", ""]))
    return [DefaultInfo(files = depset([script]))]

version_script = rule(
    implementation = _version_script_impl,
    doc = "Writes a script for the linker's --version-script.",
    attrs = {
        "exports": attr.string_list(doc = "Symbols that others may use; all others are hidden."),
    },
)
