"""Packs files of the tree into a wheel."""

def _place(file, prefix, label):
    """The file's path in the wheel: that in the tree, without what stands before the package."""
    path = file.short_path
    if path.startswith("../"):  # of another workspace: ../stablekv/py/...
        path = path.split("/", 2)[2]
    if not path.startswith(prefix):
        fail("%s: %s is not below %s" % (label, path, prefix))
    return path[len(prefix):]

def _python_wheel_impl(ctx):
    # A folder: the wheel's name has the platform's tag in it, which only the libraries tell.
    folder = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add("--name", ctx.attr.distribution)
    arguments.add("--version_file", ctx.file.version)
    arguments.add("--summary", ctx.attr.summary)
    arguments.add("--readme", ctx.file.readme)
    arguments.add("--license", ctx.file.license)
    arguments.add("--license_id", ctx.attr.license_id)
    arguments.add("--requires_python", ctx.attr.requires_python)
    arguments.add_all(ctx.attr.requires, format_each = "--requires=%s")
    for file in ctx.files.srcs:
        place = _place(file, ctx.attr.strip_prefix, ctx.label)
        arguments.add(file, format = "--file=" + place.replace("%", "%%") + "=%s")
    inputs = ctx.files.srcs + [ctx.file.version, ctx.file.readme, ctx.file.license]
    if ctx.attr.stamped:
        arguments.add("--status", ctx.info_file)
        arguments.add("--revision_place", ctx.attr.revision_place)
        inputs.append(ctx.info_file)
    arguments.add("--output", folder.path)
    ctx.actions.run(
        arguments = [arguments],
        executable = ctx.executable._build,
        inputs = inputs,
        mnemonic = "PythonWheel",
        outputs = [folder],
        progress_message = "Packing %{label}",
    )
    return [DefaultInfo(files = depset([folder]), runfiles = ctx.runfiles(files = [folder]))]

python_wheel = rule(
    implementation = _python_wheel_impl,
    doc = "A folder with one wheel for every Python 3: machine code, but none that Python calls.",
    attrs = {
        "distribution": attr.string(doc = "The name that pip installs.", mandatory = True),
        "license": attr.label(allow_single_file = True, doc = "Its text.", mandatory = True),
        "license_id": attr.string(doc = "An SPDX expression.", mandatory = True),
        "readme": attr.label(
            allow_single_file = [".md"],
            doc = "The description.",
            mandatory = True,
        ),
        "requires": attr.string_list(doc = "What pip installs with it: `torch>=2.10`."),
        "requires_python": attr.string(doc = "A version specifier: `>=3.10`.", mandatory = True),
        "revision_place": attr.string(
            doc = "The path in the wheel of the record of the git revision, in builds with --stamp.",
            mandatory = True,
        ),
        "srcs": attr.label_list(
            allow_files = True,
            doc = "The wheel's files: sources, libraries, markers.",
            mandatory = True,
        ),
        "stamped": attr.bool(doc = "Whether to record the git revision."),
        "strip_prefix": attr.string(doc = "What comes off the files' paths: `py/`."),
        "summary": attr.string(doc = "One line about it.", mandatory = True),
        "version": attr.label(
            allow_single_file = [".py"],
            doc = "A source with a line `__version__ = \"...\"`.",
            mandatory = True,
        ),
        "_build": attr.label(
            cfg = "exec",
            default = Label("//tools/wheel:build"),
            doc = "The program that packs.",
            executable = True,
        ),
    },
)
