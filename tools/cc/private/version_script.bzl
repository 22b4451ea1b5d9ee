"""A linker script that says which symbols a shared library exports."""

def _version_script_impl(ctx):
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
