"""Packs files of the tree as they lie below the repository's root or below `py/`."""

def _source_tar_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".tar")
    arguments = ctx.actions.args()
    arguments.add(output)
    arguments.add_all(ctx.files.srcs)

    # Names without the output folder's and py/'s prefix; no time, no owner: same files, same bytes.
    ctx.actions.run_shell(
        arguments = [arguments],
        command = """
tar --create --file="$1" --dereference --sort=name --format=ustar \
    --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w \
    --transform='s,^bazel-out/[^/]*/bin/,,' --transform='s,^py/,,' "${@:2}"
""",
        env = {"PATH": "/usr/bin:/bin"},
        inputs = ctx.files.srcs,
        mnemonic = "SourceTar",
        outputs = [output],
        progress_message = "Packing %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

source_tar = rule(
    implementation = _source_tar_impl,
    doc = "A tar of files, for a machine without Bazel.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, doc = "The files.", mandatory = True),
    },
)
