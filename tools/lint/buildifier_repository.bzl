"""Fetches buildifier, which no Python package carries, through npm."""

def _fetch(repository_ctx, archive):
    """Puts the package's archive into the repository's folder."""
    wheelhouse = repository_ctx.os.environ.get("STABLEKV_WHEELHOUSE")
    if wheelhouse:
        saved = repository_ctx.path(wheelhouse).get_child(archive)
        if not saved.exists:
            fail("%s is not there: fill STABLEKV_WHEELHOUSE with tools/offline/fill.py, " % saved +
                 "or set STABLEKV_BUILDIFIER to a buildifier.")
        repository_ctx.symlink(saved, archive)
        return
    npm = repository_ctx.which("npm")
    if not npm:
        fail("buildifier comes from npm, and there is no npm on PATH. Install npm, " +
             "or set STABLEKV_BUILDIFIER to a buildifier.")
    name = "@bazel/buildifier@" + repository_ctx.attr.version
    result = repository_ctx.execute([npm, "pack", "--silent", name])
    if result.return_code != 0:
        fail("npm could not fetch buildifier: " + result.stderr)

def _buildifier_repository_impl(repository_ctx):
    given = repository_ctx.os.environ.get("STABLEKV_BUILDIFIER")
    if given:
        repository_ctx.symlink(given, "buildifier")
    else:
        archive = "bazel-buildifier-%s.tgz" % repository_ctx.attr.version
        _fetch(repository_ctx, archive)
        result = repository_ctx.execute(["sha256sum", archive])
        found = result.stdout.split(" ")[0]
        if found != repository_ctx.attr.sha256:
            fail("%s: wanted sha256 %s, got %s" % (archive, repository_ctx.attr.sha256, found))
        repository_ctx.extract(archive, stripPrefix = "package")
        arch = "arm64" if repository_ctx.os.arch == "aarch64" else "amd64"
        repository_ctx.symlink("buildifier-linux_" + arch, "buildifier")
    repository_ctx.file(
        "BUILD.bazel",
        "exports_files([\"buildifier\"], visibility = [\"//visibility:public\"])\n",
        executable = False,
    )

buildifier_repository = repository_rule(
    implementation = _buildifier_repository_impl,
    doc = "Fetches buildifier by name and checks its hash.",
    attrs = {
        "sha256": attr.string(doc = "Of the package's archive.", mandatory = True),
        "version": attr.string(doc = "Of the package.", mandatory = True),
    },
    environ = ["STABLEKV_BUILDIFIER", "STABLEKV_WHEELHOUSE"],
)
