"""Copies one file to another place in the tree of outputs."""

def _copy_file_impl(ctx):
    source = ctx.file.src
    ctx.actions.run_shell(
        arguments = [source.path, ctx.outputs.out.path],
        command = "cp -- \"$1\" \"$2\"",
        inputs = [source],
        mnemonic = "CopyFile",
        outputs = [ctx.outputs.out],
    )
    files = depset([ctx.outputs.out])
    return [DefaultInfo(files = files, runfiles = ctx.runfiles(files = [ctx.outputs.out]))]

copy_file = rule(
    implementation = _copy_file_impl,
    doc = "Copies a file.",
    attrs = {
        "out": attr.output(doc = "Where to.", mandatory = True),
        "src": attr.label(allow_single_file = True, doc = "What.", mandatory = True),
    },
)
