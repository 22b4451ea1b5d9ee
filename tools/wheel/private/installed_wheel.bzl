"""Installs a wheel into a folder, for tests of what is shipped."""

def _installed_wheel_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run(
        arguments = [ctx.file.wheel.path, folder.path],
        executable = ctx.executable._install,
        inputs = [ctx.file.wheel],
        mnemonic = "InstallWheel",
        outputs = [folder],
        progress_message = "Installing %{label}",
    )
    return [DefaultInfo(files = depset([folder]), runfiles = ctx.runfiles(files = [folder]))]

installed_wheel = rule(
    implementation = _installed_wheel_impl,
    doc = "What pip makes of a wheel: a folder for Python's path, without the dependencies.",
    attrs = {
        "wheel": attr.label(
            allow_single_file = True,
            doc = "A python_wheel.",
            mandatory = True,
        ),
        "_install": attr.label(
            cfg = "exec",
            default = Label("//tools/wheel:install"),
            doc = "The program that installs.",
            executable = True,
        ),
    },
)
